"""The import closure: which code trains and computes features, followed through its imports, and what it loads from outside.

Belongs here: from entry modules to files, by the rules of Python's import, without running anything. Whole modules count:
which attributes of a module are reached cannot be decided safely, so every function of an imported module is in.
Does not belong here: what of a file counts (`syntax`), and the versions of the distributions (`distributions`).

The command line, Dagster code and tracking are outside by construction, for nothing that trains imports them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from mtac_assets.provenance import partitions
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.files import FileState, settled
from mtac_assets.provenance.finder import ENGINE, ENGINE_ROOT, Finder
from mtac_assets.provenance.memory import Memory
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.provenance.syntax import SourceFile
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

ENTRY_MODULES = ("mtac_assets.training.__main__", "mtac_assets.data.features", "mtac_assets.data.training_set")
# The resolved recipe counts field by field; Dagster's doorway and prose decide no weight.
_NOT_COUNTED = {"recipe.yaml", "dataset.yaml", "defs.yaml"}
_NOT_COUNTED_SUFFIXES = {".py", ".pyc", ".md"}
ANSWERS_KEPT = 32


class ClosureError(MtacError):
    """The code that trains cannot be followed: a file is missing or is no Python."""


@dataclass(frozen=True)
class Closure:
    """`leaves`: `code.<file>::<function>` to digest. `files`: the files behind them. `external`: top-level names imported
    that belong to neither the project, nor the engine, nor the standard library."""

    leaves: Mapping[str, str]
    files: tuple[Path, ...]
    external: tuple[str, ...]


def code_closure(project: Project, resolved: ResolvedRecipe) -> dict[str, str]:
    """Leaf name to digest, for everything that trains the recipe and computes its features."""
    return dict(closure_of_recipe(project, resolved).leaves)


def closure_of_recipe(
    project: Project, resolved: ResolvedRecipe, entry_modules: Iterable[str] = ENTRY_MODULES
) -> Closure:
    """The closure of `entry_modules` and of the recipe's own functions, with the recipe folder's other files."""
    folder = resolved.folder.resolve()
    entries = [folder / f"{module}.py" for module in recipe_modules(resolved)]
    for entry, module in zip(entries, recipe_modules(resolved), strict=True):
        if not entry.is_file():
            raise ClosureError(
                Finding(
                    f"the recipe names the module {module!r}, and there is no such file",
                    str(entry),
                    "a Python file",
                    "write it, or correct the name in recipe.yaml",
                )
            )
    found = closure_of(
        entry_modules,
        project.root,
        project.package,
        entries=entries,
        folder=folder,
        memory=Memory(project.state.cache / "closure.json"),
    )
    # What a dataset says of its columns decides which of them a feature may see.
    files = project.datasets()
    roles_of = partitions.column_roles(project, resolved)
    roles = {f"code.{project.display(files[name])}::columns": digest for name, digest in roles_of.items()}
    # The contract decides no bit (what it set aside shows in the content), but a commit without it could not be rebuilt.
    beside = {path.resolve() for name in roles_of for path in files[name].parent.iterdir() if path.is_file()}
    leaves = dict(sorted({**found.leaves, **roles}.items()))
    return replace(found, leaves=leaves, files=tuple(sorted({*found.files, *beside})))


def recipe_modules(resolved: ResolvedRecipe) -> list[str]:
    """Modules of the recipe's folder that the recipe names as `module:function`, wherever in its document."""
    found: set[str] = set()
    pending: list[object] = [resolved.identity_document()]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, (list, tuple)):
            pending.extend(value)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, str):
            module, colon, function = value.partition(":")
            if (
                colon
                and module.isidentifier()
                and function.isidentifier()
                and (resolved.folder / f"{module}.py").is_file()
            ):
                found.add(module)
    document = resolved.fields  # the typed recipe would have to be built first, which a plan has no time for
    features = document.get("features", {})
    for reference in (features.get("view"), features.get("label"), document["model"]["kind"]):
        if reference and ":" in reference:
            found.add(reference.partition(":")[0])
    return sorted(found)


def closure_of(
    entry_modules: Iterable[str],
    root: Path,
    package: str,
    *,
    entries: Iterable[Path] = (),
    folder: Path | None = None,
    memory: Memory | None = None,
) -> Closure:
    """Follow `entry_modules` (dotted) and `entries` (files) through their imports.

    `root` is the project's folder and `package` its package; `folder` a recipe's folder, whose files may import one
    another by bare name and whose data files count by their bytes. Raises ClosureError where a file is no Python.
    """
    question = _Question(
        tuple(entry_modules),
        root.resolve(),
        package,
        tuple(file.resolve() for file in entries),
        folder.resolve() if folder is not None else None,
    )
    known = _answers.get(question)
    if known is not None and all(FileState.find(path) == state for path, state in known.looked_at.items()):
        return known.closure
    answer = _follow(question, memory or Memory(None))
    _answers.pop(question, None)
    if all(state is None or settled(state.mtime_ns) for state in answer.looked_at.values()):
        _answers[question] = answer
        for oldest in list(_answers)[:-ANSWERS_KEPT]:
            _answers.pop(oldest, None)
    return answer.closure


class _Question(NamedTuple):
    entry_modules: tuple[str, ...]
    root: Path
    package: str
    entries: tuple[Path, ...]
    folder: Path | None


@dataclass(frozen=True)
class _Answer:
    """A closure, and how every file and folder was that it came from: while all are so, it holds."""

    closure: Closure
    looked_at: Mapping[str, FileState | None]


_answers: dict[_Question, _Answer] = {}  # of this process: a sensor asks at every tick


def _follow(question: _Question, memory: Memory) -> _Answer:
    folder = question.folder
    finder = Finder(question.root, question.package, folder)
    looked_at: dict[str, FileState | None] = {}
    pending = [str(file) for file in question.entries]
    for module in question.entry_modules:
        pending.extend(finder.files(module, None))
    seen: set[str] = set()
    followed: set[tuple[str, bool]] = set()
    leaves: dict[str, str] = {}
    external: set[str] = set()
    while pending:
        file = pending.pop()
        if file in seen:
            continue
        seen.add(file)
        name = finder.name(file)
        looked_at[file] = FileState.find(file)
        found_leaves, imports = _read(file, name, memory)
        for leaf, digest in found_leaves.items():
            leaves[f"code.{name}::{leaf}"] = digest
        beside = finder.beside_recipe(file)
        for imported in imports:
            if not imported.startswith("."):
                if (imported, beside) in followed:
                    continue
                followed.add((imported, beside))
            found = finder.files(imported, file)
            pending.extend(found)
            top = imported.partition(".")[0]
            if not found and top not in sys.stdlib_module_names and not finder.owns(imported, file):
                external.add(top)
    for inner in _folders(folder):
        looked_at[str(inner)] = FileState.find(str(inner))
    for file in _folder_files(folder):
        seen.add(file)
        looked_at[file] = FileState.find(file)
        leaves[f"code.{finder.name(file)}"] = _bytes_digest(file, memory)
    memory.save()
    closure = Closure(dict(sorted(leaves.items())), tuple(map(Path, sorted(seen))), tuple(sorted(external)))
    return _Answer(closure, {**finder.looked_at, **looked_at})


def loaded_outside_closure(project: Project, resolved: ResolvedRecipe, modules: Mapping[str, ModuleType]) -> list[str]:
    """Modules of the project, the engine or the recipe's folder that are loaded (`sys.modules`) and not in the closure.

    Asked at the end of a training; a non-empty answer means that code ran which the fingerprint does not know.
    """
    closure = closure_of_recipe(project, resolved)
    known = set(closure.files)
    homes = (ENGINE_ROOT / ENGINE, project.root.resolve(), resolved.folder.resolve())
    resolved_folders: dict[str, str] = {}  # there are far fewer of them than of modules
    outside: list[str] = []
    for name, module in sorted(modules.items()):
        origin: str | None = getattr(module, "__file__", None)
        if not origin or not origin.endswith(".py"):
            continue
        above, own = os.path.split(origin)
        if above not in resolved_folders:
            resolved_folders[above] = os.path.realpath(above)
        file = Path(os.path.realpath(origin) if os.path.islink(origin) else os.path.join(resolved_folders[above], own))
        # A virtual environment may lie inside the project; what it holds counts as distributions.
        if "site-packages" in file.parts or "dist-packages" in file.parts:
            continue
        if file in known or not any(file.is_relative_to(home) for home in homes):
            continue
        if not file.is_file():
            continue  # torch.ops and torch.classes are made in memory and only pretend to have a file
        outside.append(name)
    return outside


def _read(file: str, name: str, memory: Memory) -> tuple[dict[str, str], Iterable[str]]:
    """Leaves and imports of one file."""
    state = FileState.of(Path(file))
    kept = memory.get(file, state)
    if kept is not None:
        return kept["leaves"], kept["imports"]
    try:
        source = _parsed(Path(file).read_bytes(), name)
    except SyntaxError as error:
        where = f"{name}:{error.lineno}"
        finding = Finding(f"no valid Python: {error.msg}", where, "a file that Python can read", "correct the line")
        raise ClosureError(finding) from error
    memory.put(file, state, value={"leaves": source.leaves, "imports": list(source.imports)})
    return source.leaves, source.imports


@lru_cache(maxsize=1024)
def _parsed(source: bytes, name: str) -> SourceFile:
    from mtac_assets.provenance.syntax import read_source  # the parser is needed only where something is new

    return read_source(source, name)


def _bytes_digest(file: str, memory: Memory) -> str:
    state = FileState.of(Path(file))
    kept = memory.get(file, state)
    if kept is not None:
        return kept["sha256"]
    digest = sha256_file(Path(file))
    memory.put(file, state, value={"sha256": digest})
    return digest


def _folders(folder: Path | None) -> Iterator[Path]:
    """All folders whose files `_folder_files` names."""
    if folder is not None:
        yield folder
        yield from (path for path in folder.rglob("*") if path.is_dir() and path.name != "__pycache__")


def _folder_files(folder: Path | None) -> Iterator[str]:
    """Files beside the recipe that its code may read: all but Python (counted where imported), prose and hidden files."""
    if folder is None:
        return
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            continue
        if path.is_file() and path.suffix not in _NOT_COUNTED_SUFFIXES and path.name not in _NOT_COUNTED:
            yield str(path)
