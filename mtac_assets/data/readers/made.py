"""The state of texts that a function reads or makes: its code, its settings, and the interpreter that it runs in.

What such a function reads beside these (the standard library's own sources, say) is taken to be part of the interpreter; another
version or build of it is another state. Imports neither pydantic nor a dataframe library, for the plan asks it.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtac_assets.data.readers.local import Source
from mtac_assets.provenance.digest import canonical_json


def folder_of(dataset: str, root: Path) -> Path:
    """The folder of a dataset of the project at `root`."""
    from mtac_assets.spec.project import find_project

    return find_project(root).datasets()[dataset].parent


def documents_source(folder: Path, declared: Mapping[str, Any]) -> Source:
    """Where the texts come from, and a digest over every Python file of `folder`, the settings and the interpreter."""
    state = hashlib.sha256(
        canonical_json([declared["settings"], declared["max_bytes"], sys.version, platform.machine()])
    )
    for path in sorted(folder.glob("*.py")):
        state.update(b"%s %s\n" % (path.name.encode(), hashlib.sha256(path.read_bytes()).hexdigest().encode()))
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return Source(f"documents:{folder.name}/{declared['function']} ({interpreter})", f"sha256:{state.hexdigest()}")
