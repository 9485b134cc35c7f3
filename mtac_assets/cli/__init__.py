"""The `mtac` command. One verb, one module; the work itself is done on the floors below.

Imports here and in every verb's module stay light: `mtac plan` answers before pandas, torch or Dagster could be imported.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

REEXEC_VARIABLE = "MTAC_REEXECUTED"


def main() -> None:
    """Entry point of the console script: run the code of the project that the user stands in, then the verb."""
    _run_the_projects_own_code()
    from mtac_assets.cli.app import run
    from mtac_assets.spec.leave import leave

    leave(run(sys.argv[1:]))


def _run_the_projects_own_code() -> None:
    """An editable install must never lend one checkout's code to another: start again with the project's own."""
    own = Path(__file__).resolve().parents[2]
    root = _checkout_of(Path.cwd())
    if root is None or root == own or os.environ.get(REEXEC_VARIABLE) == str(root):
        return
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    os.environ |= {"PYTHONPATH": path, REEXEC_VARIABLE: str(root)}
    os.execv(sys.executable, [sys.executable, "-m", "mtac_assets.cli", *sys.argv[1:]])


def _checkout_of(start: Path) -> Path | None:
    """The nearest project that carries the engine itself (a team's own project imports the installed engine)."""
    for folder in (start, *start.parents):
        settings = folder / "pyproject.toml"
        if settings.is_file():
            try:
                project = tomllib.loads(settings.read_text()).get("tool", {}).get("dg", {}).get("project")
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                return None  # find_project says what is wrong with it
            if project is not None:
                return folder if (folder / "mtac_assets" / "cli" / "__init__.py").is_file() else None
    return None
