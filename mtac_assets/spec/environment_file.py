"""An environment's file in, the environment out."""

from __future__ import annotations

from pathlib import Path

from mtac_assets.spec import yaml
from mtac_assets.spec.environment import Environment
from mtac_assets.spec.environment_checks import CHECKS
from mtac_assets.spec.errors import SpecError, raise_all
from mtac_assets.spec.validate import name_matches, validate


def read_environment(path: Path, display: str) -> tuple[Environment, bytes]:
    """The environment in the file at `path`, called `display` in messages, and the file's bytes. Raises SpecError."""
    document = yaml.read(path, display)
    validated = validate(Environment, document, CHECKS)
    raise_all(SpecError, [*validated.findings, *name_matches(document, path.stem, "file")])
    assert validated.model is not None
    return validated.model, document.content
