"""Shows the site's reference our frozen dataclasses as the standard ones that they stand for."""

from __future__ import annotations

from typing import Any

import griffe


class Signatures(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for module in _modules(pkg):
            found = module.members.get("dataclass")
            if isinstance(found, griffe.Alias) and found.target_path.endswith(".frozen.dataclass"):
                module.set_member("dataclass", griffe.Alias("dataclass", "dataclasses.dataclass"))


def _modules(module: griffe.Module) -> list[griffe.Module]:
    inside = [each for each in module.modules.values() if not each.is_alias]
    return [module, *(found for each in inside for found in _modules(each))]
