"""What a recipe or dataset names outside its own file: functions in its folder, datasets, days that these have.

Functions are looked up in the syntax tree; nothing is imported or run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

from mtac_assets.spec.checks import Problem
from mtac_assets.spec.dataset import DailyPartitions, Dataset
from mtac_assets.spec.fields import FUNCTION_PATTERN
from mtac_assets.spec.recipe import Window
from mtac_assets.spec.spelling import closest
from mtac_assets.spec.yaml import FieldPath


@dataclass(frozen=True, slots=True)
class Named:
    """A dataset that a recipe names, and where it does."""

    path: FieldPath
    name: str
    dataset: Dataset

    @property
    def start(self) -> date | None:
        """First day, of a dataset that has days."""
        partitions = self.dataset.partitions
        return partitions.start if isinstance(partitions, DailyPartitions) else None

    @property
    def end(self) -> date | None:
        """Last day, of a dataset that has days and is complete."""
        partitions = self.dataset.partitions
        return partitions.end if isinstance(partitions, DailyPartitions) else None


def is_function(reference: str) -> bool:
    """Is it written as module:function?"""
    return re.fullmatch(FUNCTION_PATTERN, reference) is not None


@dataclass(frozen=True, slots=True)
class Module:
    """A module that is named in a folder: where it would lie, and what it holds."""

    folder: Path
    display: str  # the folder, in messages
    shown: str  # the file, in messages
    file: Path | None
    content: bytes = b""


def read_module(reference: str, folder: Path, display: str) -> Module:
    """The module of `reference` (module:function) in `folder`, called `display` in messages; `file` None where it is not."""
    relative = Path(*reference.partition(":")[0].split("."))
    shown = f"{display}/{relative.as_posix()}.py"
    for file in (folder / relative.with_suffix(".py"), folder / relative / "__init__.py"):
        try:
            return Module(folder, display, shown, file, file.read_bytes())
        except OSError:
            continue
    return Module(folder, display, shown, None)


def function_problems(path: FieldPath, reference: str, module: Module) -> Iterator[Problem]:
    """Does `module` define what `reference` names?"""
    name, _, function = reference.partition(":")
    shown, display = module.shown, module.display
    if module.file is None:
        modules = sorted(found.stem for found in module.folder.glob("*.py") if found.stem != "__init__")
        guess = closest(name, modules)
        expected = f"a module in {display}: {', '.join(modules) or 'there is none'}"
        yield Problem(
            path, f"{shown} does not exist", expected, f"write {guess}:{function}" if guess else f"add {shown}"
        )
        return
    if not module.file.resolve().is_relative_to(module.folder.resolve()):
        yield Problem(path, f"{shown} lies outside the folder", f"a file in {display}", "copy it there")
        return
    try:
        names = _defined_by(module.content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        yield Problem(path, f"{shown}:{line} is not Python: {error}", "a Python module", "correct it")
        return
    if function not in names:
        guess = closest(function, sorted(names))
        remedy = f"write {name}:{guess}" if guess else f"define `{function}` in {shown}"
        expected = f"a function in {shown}: {', '.join(sorted(names)) or 'there is none'}"
        yield Problem(path, f"{shown} defines no `{function}`", expected, remedy)


@lru_cache(maxsize=64)
def _defined_by(content: bytes) -> frozenset[str]:
    """As `_defined`, of a module's source: a sensor checks the same recipe at every tick."""
    return frozenset(_defined(ast.parse(content).body))


def _defined(body: Sequence[ast.stmt]) -> set[str]:
    """Names at the top of a module that can be called: definitions, classes, assignments, and what is imported."""
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names.update(target.id for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
        elif isinstance(statement, ast.ImportFrom | ast.Import):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            blocks = [getattr(statement, block, []) for block in ("body", "orelse", "finalbody")]
            blocks += [handler.body for handler in getattr(statement, "handlers", [])]
            for block in blocks:
                names |= _defined(block)
    return names


def missing_dataset(path: FieldPath, name: str, known: Mapping[str, Path]) -> Problem:
    guess = closest(name, list(known))
    expected = f"one of: {', '.join(known) or 'no dataset is defined'}"
    return Problem(path, f"no dataset is called `{name}`", expected, f"write `{guess}`" if guess else "add its folder")


def partition_problems(window: Window | None, named: Sequence[Named], *, texts: bool = False) -> Iterator[Problem]:
    """Are the datasets cut as the recipe needs them? `texts`: it is a recipe of texts, which has no days."""
    for entry in named:
        daily = isinstance(entry.dataset.partitions, DailyPartitions)
        if texts and daily:
            error = f"`{entry.name}` has daily partitions, and a mix has no days"
            remedy = "name another, or make a dataset of texts of it"
            yield Problem(entry.path, error, "a dataset with partitions {kind: none}", remedy)
        elif window and not daily:
            error = f"`{entry.name}` has no days, but the recipe has a `window`"
            yield Problem(
                entry.path, error, "datasets with daily partitions", "cut it by day, or replace window by split"
            )
        elif not window and daily:
            error = f"`{entry.name}` has daily partitions, but the recipe has no `window`"
            yield Problem(entry.path, error, "a window, or datasets with partitions {kind: none}", "add `window:`")


def feasible_range(window: Window, named: Sequence[Named]) -> tuple[date | None, date | None]:
    """First and last as-of date for which all datasets hold the whole window; None where nothing bounds it."""
    starts = [entry.start for entry in named if entry.start]
    ends = [entry.end for entry in named if entry.end]
    first = max(starts) + timedelta(days=window.train_days) if starts else None
    last = min(ends) - timedelta(days=window.test_days - 1) if ends else None
    return first, last


def feasible(window: Window, named: Sequence[Named]) -> str:
    """The same in words."""
    first, last = feasible_range(window, named)
    if first and last and last < first:
        return "datasets that reach over the whole window"
    return "an as-of date" + (f" from {first}" if first else "") + (f" to {last}" if last else " on" if first else "")


def history_start(as_of: date, window: Window, named: Sequence[Named]) -> date:
    """First day that features may look back on: as far as history_days reach, and as all datasets do."""
    reach = as_of - timedelta(days=window.train_days + window.history_days)
    return max([reach, *(entry.start for entry in named if entry.start)])


def as_of_problems(as_of: date, window: Window, named: Sequence[Named]) -> Iterator[Problem]:
    """Do the datasets reach from the first training day to the last test day? The remedy names dates that work."""
    first_day, last_day = as_of - timedelta(days=window.train_days), as_of + timedelta(days=window.test_days - 1)
    first, last = feasible_range(window, named)
    expected = feasible(window, named)
    for entry in named:
        if entry.start and entry.start > first_day:
            error = f"training would begin on {first_day}, but `{entry.name}` begins on {entry.start}"
            yield Problem((), error, expected, _date_remedy(first, first, last))
        if entry.end and entry.end < last_day:
            error = f"the test would end on {last_day}, but `{entry.name}` ends on {entry.end}"
            yield Problem((), error, expected, _date_remedy(last, first, last))


def _date_remedy(choice: date | None, first: date | None, last: date | None) -> str:
    return "shorten the window" if first and last and last < first else f"use --as-of {choice}, or shorten the window"
