"""The code location of a project, loaded into this process: the same definitions that the web server shows."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster.components.definitions import LazyDefinitions

from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


class NotLoadable(MtacError):
    """The project's definitions could not be loaded."""


def definitions_module(project: Project) -> str:
    """The module that the code location loads, as pyproject.toml names it."""
    named = _target_module((project.root / "pyproject.toml").read_text())
    return named or f"{project.package}.definitions"


@lru_cache(maxsize=8)
def _target_module(pyproject: str) -> str | None:
    """The same text is parsed once a process: each run that a process executes asks."""
    return tomllib.loads(pyproject)["tool"]["dg"]["project"].get("code_location_target_module")


_kept: dict[Path, dg.RepositoryDefinition] = {}


@contextmanager
def kept_repository(project: Project) -> Iterator[dg.RepositoryDefinition]:
    """The project's definitions, loaded once for the whole block: of a checkout whose recipes nobody changes meanwhile."""
    _kept[project.root] = load_repository(project)
    try:
        yield _kept[project.root]
    finally:
        del _kept[project.root]


def load_repository(project: Project) -> dg.RepositoryDefinition:
    """Import the project's definitions. Raises what a broken recipe raises, and NotLoadable for another checkout's code."""
    if (kept := _kept.get(project.root)) is not None:
        return kept
    name = definitions_module(project)
    module = importlib.import_module(name)
    file = Path(module.__file__ or "")
    if not file.is_relative_to(project.root):
        raise NotLoadable(
            Finding(
                f"{name} was loaded from {file}",
                str(project.root),
                "the definitions of this project",
                "run mtac from the project's folder, in a process that has not loaded another checkout",
            )
        )
    found = [value for value in vars(module).values() if isinstance(value, dg.Definitions | LazyDefinitions)]
    if len(found) != 1:
        raise NotLoadable(
            Finding(
                f"{name} holds {len(found)} definitions",
                project.display(file),
                "exactly one dg.Definitions, or one function with @dg.definitions",
                "return project_definitions(Path(__file__).parent) from it",
            )
        )
    definitions = found[0]() if isinstance(found[0], LazyDefinitions) else found[0]
    assert isinstance(definitions, dg.Definitions)
    return definitions.get_repository_def()


def remote_origin(project: Project, job: str) -> RemoteJobOrigin:
    """Where a run's job comes from, so that the UI links a run of this process to the job of its own code location."""
    target = LoadableTargetOrigin(
        executable_path=sys.executable, module_name=definitions_module(project), working_directory=str(project.root)
    )
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=project.package)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job)
