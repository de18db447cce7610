"""What a build adds to the package: pages, the API's document, and in a wheel the compiled path.

An sdist and an editable install carry pages and document only.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackageBuildHook(BuildHookInterface[Any]):
    """Runs before the files of the package are collected."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling."""
        compiler = self._compiled.dependencies() if self.target_name == "wheel" else []
        return [*self._pages.dependencies(), *self._document.dependencies(), *compiler]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build all of them, and name the compiled files for the wheel."""
        self._pages.build()
        self._document.build()
        if self.target_name == "wheel" and version == "standard":
            extensions = self._compiled.build()
            if extensions:
                build_data["pure_python"] = False
                build_data["infer_tag"] = True
                build_data["force_include"].update(extensions)

    @cached_property
    def _pages(self) -> Any:
        return self._load("web/build_pages.py").Pages(Path(self.root))

    @cached_property
    def _document(self) -> Any:
        return self._load("deploy/build_api.py").ApiDocument(Path(self.root))

    @cached_property
    def _compiled(self) -> Any:
        return self._load("deploy/compile_path.py").CompiledPath(
            Path(self.root), self.config["compiled"]
        )

    def _load(self, name: str) -> ModuleType:
        """Import a file of the source tree, which is no package."""
        path = Path(self.root, name)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ImportError(name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
