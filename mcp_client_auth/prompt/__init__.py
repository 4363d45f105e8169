"""Getting a person to the authorization server and back.

`base` has the values; in `race` the first valid answer wins. It comes by `browser_prompt` (with
`open_browser`, `loopback` and `page`), `device`, or `paste` (with `terminal`); `console` and
`screen` are what a person sees. Each is imported from its own module, so that no one pays for
the others.
"""
