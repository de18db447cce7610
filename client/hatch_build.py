"""What a build adds to the client: the modules that follow from the API's document."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ClientBuildHook(BuildHookInterface[Any]):
    """Runs before the files of the client are collected."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling."""
        needed: list[str] = self._modules.dependencies()
        return needed

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the modules."""
        self._modules.build()

    @cached_property
    def _modules(self) -> Any:
        path = Path(self.root, "build_client.py")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ImportError(path.name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.ClientModules(Path(self.root))
