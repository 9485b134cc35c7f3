"""Files in, typed documents out: recipes with all that they name, and datasets; or all findings at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

from mtac_assets.spec import dataset_checks, references, yaml
from mtac_assets.spec.checks import Problem
from mtac_assets.spec.dataset import Dataset
from mtac_assets.spec.errors import Finding, SpecError, raise_all
from mtac_assets.spec.fields import in_range
from mtac_assets.spec.overrides import apply
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import Window
from mtac_assets.spec.references import Named
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.spec.shapes import checks_of, of_other_shape, recipe_model
from mtac_assets.spec.validate import Placed, name_matches, validate
from mtac_assets.spec.yaml import FieldPath

Inputs = dict[Path, bytes]  # files by path, with their bytes as read

_FUNCTIONS: tuple[FieldPath, ...] = (("features", "view"), ("features", "label"), ("model", "kind"))


def read_dataset(project: Project, path: Path) -> tuple[Dataset, Inputs]:
    """The dataset in the file at `path`, and every file that its validity rests on. Raises SpecError."""
    dataset, findings, inputs = _dataset(project, path)
    raise_all(SpecError, findings)
    assert dataset is not None
    return dataset, inputs


def read_recipe(
    project: Project, path: Path, overrides: Sequence[str] = (), as_of: date | None = None, *, needs_date: bool = True
) -> tuple[ResolvedRecipe, Inputs]:
    """The recipe in the file at `path`, and every file that its validity rests on. Raises SpecError with all findings.

    `needs_date` False leaves the as-of date out of the question, for a look at the recipe alone.
    """
    file = yaml.read(path, project.display(path))
    inputs: Inputs = {path: file.content}
    document, findings = apply(file, overrides)
    shape = recipe_model(document.data)
    validated = validate(shape, document, checks_of(shape))
    findings += of_other_shape(document, validated.findings)
    findings += name_matches(document, path.parent.name, "folder")
    wrong, modules = _functions(project, document, function_paths(document.data), path.parent)
    findings += wrong
    named, wrong, of_datasets = _datasets(project, document)
    findings += wrong
    history_start = None
    timeless = "window" not in shape.model_fields
    if timeless or "window" in validated.sections:
        window: Window | None = None if timeless else validated.sections["window"]
        findings += _placed(document, references.partition_problems(window, named, texts=timeless))
        if needs_date:
            findings += _as_of(window, as_of, named, project.display(path))
        if window and as_of and in_range(as_of):
            history_start = references.history_start(as_of, window, named)
    raise_all(SpecError, findings)
    assert validated.model is not None
    folder = project.display(path.parent)
    resolved = ResolvedRecipe.of(validated.model, as_of, path.parent, folder, tuple(overrides), history_start)
    return resolved, inputs | modules | of_datasets


def _dataset(project: Project, path: Path) -> tuple[Dataset | None, list[Finding], Inputs]:
    """The dataset where its own fields are sound; what is wrong with it or with what it names; the files looked at."""
    document = yaml.read(path, project.display(path))
    validated = validate(Dataset, document, dataset_checks.CHECKS)
    findings = [*validated.findings, *name_matches(document, path.parent.name, "folder")]
    wrong, modules = _functions(project, document, [("contract", "schema"), ("source", "function")], path.parent)
    return validated.model, findings + wrong, {path: document.content} | modules


def _datasets(project: Project, document: Placed) -> tuple[list[Named], list[Finding], Inputs]:
    """The datasets that the recipe's data names, what is wrong with any of them, and the files looked at."""
    named: list[Named] = []
    findings: list[Finding] = []
    inputs: Inputs = {}
    known = project.datasets()
    for path, name in dataset_names(document.data):
        if name not in known:
            findings += _placed(document, [references.missing_dataset(path, name, known)])
            continue
        try:
            dataset, wrong, files = _dataset(project, known[name])
        except SpecError as error:
            dataset, wrong, files = None, list(error.findings), Inputs()
        findings += wrong
        inputs |= files
        if dataset is not None:
            named.append(Named(path, name, dataset))
    return named, findings, inputs


def dataset_names(data: Any) -> Iterator[tuple[FieldPath, str]]:
    rows, lookups = yaml.value_at(data, ("data", "rows")), yaml.value_at(data, ("data", "lookups"))
    seen: set[str] = set()
    listed = cast("list[Any]", lookups) if isinstance(lookups, list) else []
    named: list[tuple[FieldPath, Any]] = [(("data", "lookups", position), name) for position, name in enumerate(listed)]
    sources = yaml.value_at(data, ("mix", "sources"))
    for source in cast("dict[str, Any]", sources) if isinstance(sources, dict) else {}:
        path = ("mix", "sources", source, "dataset")
        named.append((path, yaml.value_at(data, path)))
    for path, name in [(("data", "rows"), rows), *named]:
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            yield path, name


def function_paths(data: Any) -> list[FieldPath]:
    """Where a recipe may name a function of its folder."""
    suite = yaml.value_at(data, ("evaluation", "suite"))
    count = len(cast("list[Any]", suite)) if isinstance(suite, list) else 0
    return [*_FUNCTIONS, *(("evaluation", "suite", position) for position in range(count))]


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


def _functions(
    project: Project, document: Placed, paths: Iterable[FieldPath], folder: Path
) -> tuple[list[Finding], Inputs]:
    findings: list[Finding] = []
    inputs: Inputs = {}
    for path in paths:
        value = yaml.value_at(document.data, path)
        if not isinstance(value, str) or not references.is_function(value):
            continue
        module = references.read_module(value, folder, project.display(folder))
        findings += _placed(document, references.function_problems(path, value, module))
        if module.file is not None:
            inputs[module.file] = module.content
    return findings, inputs


def _placed(document: Placed, problems: Iterable[Problem]) -> list[Finding]:
    return [Finding(p.error, document.where(p.path), p.expected, p.remedy) for p in problems]
