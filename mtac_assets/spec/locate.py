"""Which file is meant by a name or a path on the command line."""

from __future__ import annotations

import os
from pathlib import Path

from mtac_assets.spec.errors import Finding, SpecError
from mtac_assets.spec.project import Project
from mtac_assets.spec.spelling import closest


def locate(project: Project, name_or_path: str | Path, known: dict[str, Path], kind: str) -> Path:
    """The file meant by a name, or by a path: of the file or of its folder, inside the project."""
    text = str(name_or_path)
    if isinstance(name_or_path, str) and text in known:
        return known[text]
    if isinstance(name_or_path, str) and not any(mark in text for mark in ("/", os.sep, ".")):
        guess = closest(text, list(known))
        remedy = f"write `{guess}`" if guess else f"add {project.display(project.defs)}/{text}/{kind}.yaml"
        expected = f"one of: {', '.join(known) or f'no {kind} is defined'}"
        raise SpecError(Finding(f"no {kind} is called `{text}`", project.display(project.defs), expected, remedy))
    path = Path(os.path.abspath(text))
    if path.is_dir():
        path = path / f"{kind}.yaml"
    real, root = path.resolve(), project.root.resolve()
    if not real.is_relative_to(root):
        expected = f"a {kind} in {project.root}"
        raise SpecError(Finding(f"`{text}` leaves the project", text, expected, f"name a {kind} of this project"))
    return project.root / real.relative_to(root)  # one name for one file, whatever links led to it
