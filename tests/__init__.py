"""The tests, as a package: they import what they share as `tests.support.…`.

`unit/` mirrors the package, a file a module. `flows/` has a file for each grant and each promise,
`attacks/` one for each attack, `providers/` what is known of providers, `docs/` holds what we
write to its word. `slow/` starts processes, terminals, browsers and other people's servers; it is
not in the default run (`pytest -m slow`).
"""
