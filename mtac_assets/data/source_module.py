"""A module of a recipe's or dataset's folder, loaded from its source. Never from byte code: Python takes that for current by the
source's size and the second of its last change, and a digit that was edited within that second would be fingerprinted and not run."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType


class _FromSource(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_source(path: Path, name: str) -> ModuleType:
    """Run the file as the module `name`, which stays in `sys.modules`; whatever it raises is raised."""
    specification = spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module
