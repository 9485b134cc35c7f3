"""The project that the current folder belongs to, and where its things lie. Reads nothing of recipes or datasets."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mtac_assets.spec.errors import Finding, SpecError
from mtac_assets.spec.remembered import recall, remember

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Environment

ENVIRONMENT_VARIABLE = "APP_ENV"
STATE_VARIABLE = "MTAC_STATE"
DEFAULT_ENVIRONMENT = "local"
DEFAULT_STATE = ".mtac"


@dataclass(frozen=True)
class State:
    """The folders of one environment's state, as docs/architecture.md lists them. None is created here."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def features(self) -> Path:
        return self.root / "features"

    @property
    def scores(self) -> Path:
        return self.root / "scores"

    @property
    def tokenizers(self) -> Path:
        return self.root / "tokenizers"

    @property
    def training_sets(self) -> Path:
        return self.root / "training_sets"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def drift(self) -> Path:
        return self.root / "drift"

    @property
    def replays(self) -> Path:
        return self.root / "replays"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def remote(self) -> Path:
        return self.root / "remote"


@dataclass(frozen=True)
class Project:
    """A checkout with `[tool.dg.project]`, seen from one environment."""

    root: Path
    package: str  # import name of the root module; its folder holds defs/ and environments/
    environment: Environment

    @cached_property
    def package_folder(self) -> Path:
        return package_folder(self.root, self.package)

    @property
    def defs(self) -> Path:
        return self.package_folder / "defs"

    @property
    def environments(self) -> Path:
        return self.package_folder / "environments"

    @cached_property
    def environment_name(self) -> str:
        """The environment's name, for whoever needs no more of it: that is known without typing it."""
        return self.environment.name

    @cached_property
    def state(self) -> State:
        return _state_of(self.root, self.environment.state)

    def recipes(self) -> dict[str, Path]:
        """Folder name to file of every recipe, by name."""
        return self._files("recipe.yaml")

    def datasets(self) -> dict[str, Path]:
        """Folder name to file of every dataset, by name."""
        return self._files("dataset.yaml")

    def display(self, path: Path) -> str:
        """`path` as messages show it: relative to the project where it lies inside."""
        absolute = Path(os.path.abspath(path))
        return absolute.relative_to(self.root).as_posix() if absolute.is_relative_to(self.root) else str(path)

    def _files(self, name: str) -> dict[str, Path]:
        defs = self.defs
        if not defs.is_dir():
            return {}
        return {
            folder: defs / folder / name
            for folder in sorted(os.listdir(defs))
            if os.path.exists(f"{defs}/{folder}/{name}")
        }


class _RememberedProject(Project):
    """A project whose environment was found valid before: typed only when somebody asks, because that imports pydantic."""

    @classmethod
    def of(cls, root: Path, package: str, fields: dict[str, Any]) -> Project:
        project = object.__new__(cls)
        project.__dict__.update(root=root, package=package, _fields=fields)
        project.__dict__["state"] = _state_of(root, fields["state"])
        project.__dict__["environment_name"] = fields["name"]
        return project

    @cached_property
    def environment(self) -> Environment:  # pyright: ignore[reportIncompatibleVariableOverride]
        from mtac_assets.spec.environment import Environment

        return Environment.model_validate_json(json.dumps(self.__dict__["_fields"]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Project):
            return NotImplemented
        return (self.root, self.package, self.environment) == (other.root, other.package, other.environment)

    def __hash__(self) -> int:
        return hash((self.root, self.package))


def _state_of(root: Path, declared: str) -> State:
    """The state folder: where the environment says, or where `MTAC_STATE` does, which a clean room sets for its processes."""
    return State(Path(os.path.normpath(root / (os.environ.get(STATE_VARIABLE) or declared))))


def package_folder(root: Path, package: str) -> Path:
    """Folder of the root module, in the project's folder or under its `src`."""
    parts = package.split(".")
    flat = root.joinpath(*parts)
    nested = root.joinpath("src", *parts)
    return nested if nested.is_dir() and not flat.is_dir() else flat


def find_project(start: Path | None = None, environment: str | None = None) -> Project:
    """The project of `start` (the current folder) in the named environment (`APP_ENV`, else local). Raises SpecError."""
    begin = Path(os.path.abspath(start or Path.cwd()))
    root, package = _find_root(begin)
    folder = package_folder(root, package) / "environments"
    name = environment or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_ENVIRONMENT
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        listed = ", ".join(known) or "none"
        raise SpecError(
            Finding(
                f"no environment is called `{name}`",
                f"{ENVIRONMENT_VARIABLE}={name}",
                f"one of: {listed}",
                f"set {ENVIRONMENT_VARIABLE} to one of them, or add {folder.relative_to(root) / (name + '.yaml')}",
            )
        )
    path = folder / f"{name}.yaml"
    memory, question = (
        root / DEFAULT_STATE / "cache" / "environments",
        ["environment", path.relative_to(root).as_posix()],
    )
    remembered = recall(memory, root, question)
    if remembered is not None:
        return _RememberedProject.of(root, package, remembered)
    from mtac_assets.spec.environment_file import read_environment

    found, content = read_environment(path, path.relative_to(root).as_posix())
    project = Project(root, package, found)
    if project.state.root == root / DEFAULT_STATE:  # else a folder would be made that nobody asked for
        remember(memory, root, question, {path: content}, found.model_dump(mode="json"))
    return project


def load_environment(path: Path, display: str | None = None) -> Environment:
    """The environment in the file at `path`. Raises SpecError."""
    from mtac_assets.spec.environment_file import read_environment

    return read_environment(path, display or str(path))[0]


def _find_root(begin: Path) -> tuple[Path, str]:
    for folder in (begin, *begin.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        section = _project_section(path)
        if section is None:
            continue
        package = section.get("root_module")
        if not isinstance(package, str) or not all(part.isidentifier() for part in package.split(".")):
            expected = "root_module, the import name of the package that holds defs/"
            raise SpecError(
                Finding("[tool.dg.project] has no root_module", str(path), expected, 'add root_module = "<package>"')
            )
        return folder, package
    raise SpecError(
        Finding(
            "no project here",
            str(begin),
            "a pyproject.toml with [tool.dg.project] in this folder or one above it",
            "change to the project's folder",
        )
    )


def _project_section(path: Path) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(Finding(f"cannot be read: {error}", str(path), "a TOML file", "correct it")) from None
    section: Any = document
    for part in ("tool", "dg", "project"):
        section = cast("dict[str, Any]", section).get(part) if isinstance(section, dict) else None
    return cast("dict[str, Any]", section) if isinstance(section, dict) else None
