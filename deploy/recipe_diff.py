"""What a change does to recipes, datasets and environments, as Markdown for a pull request. `make recipe-diff BASE=origin/main`.

Both sides are read by this checkout's code. Whether a field makes another model is told beside it: gates and triggers do not.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from mtac_assets.spec.diff import ABSENT, diff
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import check_recipe, load_dataset
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.resolved import NOT_IDENTITY

LONGEST = 120


def main(base: str) -> int:
    head = find_project(Path.cwd())
    with tempfile.TemporaryDirectory(prefix="mtac-base-") as folder:
        archive = subprocess.run(["git", "archive", base], cwd=head.root, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        before = find_project(Path(folder))
        lines = [*_section("recipe", before, head), *_section("dataset", before, head)]
    print(f"### Recipes against `{base}`\n")
    print("\n".join(lines) if lines else "No recipe and no dataset changes.")
    return 0


def _section(kind: str, before: Project, head: Project) -> Iterator[str]:
    names: Callable[[Project], dict[str, Path]] = Project.recipes if kind == "recipe" else Project.datasets
    old, new = names(before), names(head)
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"**{kind} `{name}` goes.**\n"
        elif name not in old:
            yield f"**{kind} `{name}` is new.**\n"
        else:
            yield from _table(kind, name, _read(kind, before, name), _read(kind, head, name))


def _read(kind: str, project: Project, name: str) -> dict[str, Any] | MtacError:
    try:
        found = check_recipe(project, name) if kind == "recipe" else load_dataset(project, name)
    except MtacError as error:
        return error
    return found.model_dump(mode="json")


def _table(kind: str, name: str, old: dict[str, Any] | MtacError, new: dict[str, Any] | MtacError) -> Iterator[str]:
    for side, words in ((old, "before"), (new, "after")):
        if isinstance(side, MtacError):
            said = "; ".join(f"{one.where}: {one.error}" for one in side.findings)
            yield f"**{kind} `{name}` cannot be read {words}**: {said}\n"
    if isinstance(old, MtacError) or isinstance(new, MtacError):
        return
    found = diff(old, new)
    if not found:
        return
    yield f"**{kind} `{name}`**\n"
    yield "| field | before | after | another model |"
    yield "|---|---|---|---|"
    for one in found:
        counts = "no" if kind == "recipe" and one.path.partition(".")[0].partition("[")[0] in NOT_IDENTITY else "yes"
        yield f"| `{one.path}` | {_cell(one.old)} | {_cell(one.new)} | {counts} |"
    yield ""


def _cell(value: Any) -> str:
    if value is ABSENT:
        return "–"
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return f"`{text[:LONGEST]}{'…' if len(text) > LONGEST else ''}`"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python deploy/recipe_diff.py BASE, a commit or branch to compare with")
    sys.exit(main(sys.argv[1]))
