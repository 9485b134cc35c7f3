"""Python's import, without importing: a dotted name to the files that it would run.

Belongs here: where names lead, in a project, the engine and a recipe's folder. Works on strings and lists each folder once, for
the plan follows a thousand imports in a few milliseconds. Which files are followed is `closure`'s matter.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from mtac_assets.provenance.files import FileState

ENGINE = "mtac_assets"
ENGINE_ROOT = Path(__file__).resolve().parents[2]
_INIT = "__init__.py"


class Finder:
    """`root`: the project's folder. `package`: its import name. `folder`: the recipe's, whose files may import one another by
    bare name. All paths are absolute and resolved. `looked_at`: how each folder was that an answer came from, None where there is none.
    """

    def __init__(self, root: Path, package: str, folder: Path | None) -> None:
        self.root = str(root)
        self.folder = None if folder is None else str(folder)
        self._top = package.partition(".")[0]
        self.looked_at: dict[str, FileState | None] = {}
        nested = os.path.join(self.root, "src")
        home = nested if self._is_folder(os.path.join(nested, self._top)) else self.root
        own_engine = self._is_folder(os.path.join(self.root, ENGINE, "provenance"))
        self._homes = {self._top: home, ENGINE: self.root if own_engine else str(ENGINE_ROOT)}
        self._listed = cache(self._list)
        self._found = cache(self._find)

    def name(self, file: str) -> str:
        """The file as leaves name it: relative to the project, to the engine, or to the recipe's folder."""
        for base in (self.root, str(ENGINE_ROOT)):
            if file.startswith(base + os.sep):
                return file[len(base) + 1 :].replace(os.sep, "/")
        if self.folder is not None and self.beside_recipe(file):
            parent = os.path.dirname(self.folder)
            return file[len(parent) + 1 :].replace(os.sep, "/")
        return file.replace(os.sep, "/")

    def beside_recipe(self, file: str) -> bool:
        return self.folder is not None and file.startswith(self.folder + os.sep)

    def files(self, dotted: str, importer: str | None) -> tuple[str, ...]:
        """What importing `dotted` from `importer` runs: the packages' `__init__` on the way, and the module itself."""
        if dotted.startswith("."):
            if importer is None:
                return ()
            base = importer
            rest = dotted.lstrip(".")
            for _ in range(len(dotted) - len(rest)):
                base = os.path.dirname(base)
            return self._found(base, rest)
        top = dotted.partition(".")[0]
        if top in self._homes:
            return self._found(self._homes[top], dotted)
        if self.folder is not None and importer is not None and self.beside_recipe(importer):
            found = self._found(self.folder, dotted)
            if found:
                return found
        # A loose module or package at the project's root shadows an installed one when run with `python -m` from there.
        files, folders = self._listed(self.root)
        if f"{top}.py" in files or (top in folders and _INIT in self._listed(os.path.join(self.root, top))[0]):
            return self._found(self.root, dotted)
        return ()

    def owns(self, dotted: str, importer: str) -> bool:
        """Whether `dotted` lies in the project or engine, though it may name an attribute or a folder without `__init__`."""
        top = dotted.partition(".")[0]
        if dotted.startswith(".") or top in self._homes:
            return True
        return self.folder is not None and self.beside_recipe(importer) and top in self._listed(self.folder)[1]

    def _find(self, base: str, dotted: str) -> tuple[str, ...]:
        found: list[str] = []
        place = base
        files, folders = self._listed(place)
        if base not in self._homes.values() and base != self.root and _INIT in files:
            found.append(os.path.join(place, _INIT))
        for part in dotted.split(".") if dotted else ():
            if part in folders:
                inner = os.path.join(place, part)
                has_init = _INIT in self._listed(inner)[0]
                if has_init or f"{part}.py" not in files:  # a module goes before a folder without `__init__`
                    if has_init:
                        found.append(os.path.join(inner, _INIT))
                    place = inner
                    files, folders = self._listed(place)
                    continue
            if f"{part}.py" in files:
                found.append(os.path.join(place, f"{part}.py"))
            break
        return tuple(found)

    def _is_folder(self, path: str) -> bool:
        self.looked_at[path] = FileState.find(path)
        return os.path.isdir(path)

    def _list(self, folder: str) -> tuple[frozenset[str], frozenset[str]]:
        self.looked_at[folder] = FileState.find(folder)  # before it is listed: a later change is seen
        return _listing(folder)


def _listing(folder: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the Python files and of the folders in `folder`."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    files.append(entry.name)
                elif entry.is_dir():
                    folders.append(entry.name)
    except FileNotFoundError:
        pass
    return frozenset(files), frozenset(folders)
