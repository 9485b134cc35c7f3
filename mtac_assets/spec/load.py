"""Files in, typed documents out: recipes, datasets, environments, resolved recipes; or all findings at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

from mtac_assets.spec import dataset_checks, recipe_checks, references, yaml
from mtac_assets.spec.checks import Problem, closest
from mtac_assets.spec.dataset import Dataset
from mtac_assets.spec.errors import Finding, SpecError, raise_all
from mtac_assets.spec.fields import in_range
from mtac_assets.spec.overrides import apply
from mtac_assets.spec.project import Project, load_environment
from mtac_assets.spec.recipe import Recipe, Window
from mtac_assets.spec.references import Named
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.spec.stored import load_resolved
from mtac_assets.spec.validate import Placed, name_matches, validate
from mtac_assets.spec.yaml import FieldPath

__all__ = ["check_recipe", "load_dataset", "load_environment", "load_recipe", "load_resolved"]

_FUNCTIONS: tuple[FieldPath, ...] = (("features", "view"), ("features", "label"), ("model", "kind"))


def load_dataset(project: Project, name_or_path: str | Path) -> Dataset:
    """The dataset of that name, or in that file of the project. Raises SpecError."""
    path = _locate(project, name_or_path, project.datasets(), "dataset")
    dataset, findings = _dataset(project, path)
    raise_all(SpecError, findings)
    assert dataset is not None
    return dataset


def _dataset(project: Project, path: Path) -> tuple[Dataset | None, list[Finding]]:
    """The dataset where its own fields are sound, and what is wrong with it or with what it names."""
    document = yaml.read(path, project.display(path))
    validated = validate(Dataset, document, dataset_checks.CHECKS)
    findings = [*validated.findings]
    findings += name_matches(document, path.parent.name, "folder")
    findings += _functions(project, document, [("contract", "schema")], path.parent)
    return validated.model, findings


def load_recipe(
    project: Project, name_or_path: str | Path, overrides: Sequence[str] = (), as_of: date | None = None
) -> ResolvedRecipe:
    """The recipe of that name, or in that file of the project, with `FIELD=VALUE` overrides, as of a date.

    A recipe with a window needs `as_of`, one without refuses it. Raises SpecError with every finding: in the file, the
    overrides, the functions and datasets that it names, and whether these datasets reach over the whole window.
    """
    return _load(project, name_or_path, overrides, as_of, needs_date=True)


def check_recipe(project: Project, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe alone, of no date: what `mtac check` looks at. Raises SpecError as `load_recipe` does."""
    return _load(project, name_or_path, overrides, None, needs_date=False).recipe


def _load(
    project: Project, name_or_path: str | Path, set_fields: Sequence[str], as_of: date | None, needs_date: bool
) -> ResolvedRecipe:
    path = _locate(project, name_or_path, project.recipes(), "recipe")
    document, findings = apply(yaml.read(path, project.display(path)), set_fields)
    validated = validate(Recipe, document, recipe_checks.CHECKS)
    findings += validated.findings
    findings += name_matches(document, path.parent.name, "folder")
    findings += _functions(project, document, _FUNCTIONS, path.parent)
    named, wrong = _datasets(project, document)
    findings += wrong
    history_start = None
    if "window" in validated.sections:
        window: Window | None = validated.sections["window"]
        findings += _placed(document, references.partition_problems(window, named))
        if needs_date:
            findings += _as_of(window, as_of, named, project.display(path))
        if window and as_of and in_range(as_of):
            history_start = references.history_start(as_of, window, named)
    raise_all(SpecError, findings)
    assert validated.model is not None
    folder = project.display(path.parent)
    return ResolvedRecipe(validated.model, as_of, path.parent, folder, tuple(set_fields), history_start)


def _locate(project: Project, name_or_path: str | Path, known: dict[str, Path], kind: str) -> Path:
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
    if not path.resolve().is_relative_to(project.root.resolve()):
        expected = f"a {kind} in {project.root}"
        raise SpecError(Finding(f"`{text}` leaves the project", text, expected, f"name a {kind} of this project"))
    return path


def _datasets(project: Project, document: Placed) -> tuple[list[Named], list[Finding]]:
    """The datasets that the recipe's data names, and what is wrong with any of them."""
    named: list[Named] = []
    findings: list[Finding] = []
    known = project.datasets()
    for path, name in _dataset_names(document.data):
        if name not in known:
            findings += _placed(document, [references.missing_dataset(path, name, known)])
            continue
        try:
            dataset, wrong = _dataset(project, known[name])
        except SpecError as error:
            dataset, wrong = None, list(error.findings)
        findings += wrong
        if dataset is not None:
            named.append(Named(path, name, dataset))
    return named, findings


def _dataset_names(data: Any) -> Iterator[tuple[FieldPath, str]]:
    rows, lookups = yaml.value_at(data, ("data", "rows")), yaml.value_at(data, ("data", "lookups"))
    seen: set[str] = set()
    listed = cast("list[Any]", lookups) if isinstance(lookups, list) else []
    named: list[tuple[FieldPath, Any]] = [(("data", "lookups", position), name) for position, name in enumerate(listed)]
    for path, name in [(("data", "rows"), rows), *named]:
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            yield path, name


def _as_of(window: Window | None, as_of: date | None, named: Sequence[Named], display: str) -> list[Finding]:
    where = f"{display} (window)"
    if window is None:
        if as_of is None:
            return []
        expected = "no --as-of: the recipe has no `window`"
        return [Finding(f"--as-of {as_of} is given for a recipe without time", where, expected, "leave --as-of out")]
    if as_of is None:
        feasible = references.feasible(window, named)
        return [Finding("no as-of date is given", where, feasible, "add --as-of YYYY-MM-DD")]
    if not in_range(as_of):
        expected = references.feasible(window, named)
        return [Finding(f"{as_of} is not a date to train as of", f"--as-of {as_of}", expected, "correct it")]
    problems = references.as_of_problems(as_of, window, named)
    return [Finding(problem.error, f"--as-of {as_of}", problem.expected, problem.remedy) for problem in problems]


def _functions(project: Project, document: Placed, paths: Iterable[FieldPath], folder: Path) -> list[Finding]:
    findings: list[Finding] = []
    for path in paths:
        value = yaml.value_at(document.data, path)
        if isinstance(value, str) and references.is_function(value):
            findings += _placed(document, references.function_problems(path, value, folder, project.display(folder)))
    return findings


def _placed(document: Placed, problems: Iterable[Problem]) -> list[Finding]:
    return [Finding(p.error, document.where(p.path), p.expected, p.remedy) for p in problems]
