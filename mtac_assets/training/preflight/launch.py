"""The preflight in a process of its own, for callers that load no torch: what it found, or why it could not be made.

Belongs here: starting it and reading its answer. What a failed check stops is the caller's to say (`require` for those that train).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec.errors import CheckFailed, Finding, raise_all
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.child import Overdue, run_child, signal_words, variables
from mtac_assets.training.errors import TrainingRefused, read_findings

MODULE = "mtac_assets.training.preflight"
LIMIT_SECONDS = 120


def examine(
    project: Project, resolved: ResolvedRecipe, workers: int | None = None, training_set: Path | None = None
) -> list[dict[str, Any]]:
    """Every check as `registry.Result.document` gives it. `workers` None: as many as the environment says.

    `training_set`: its folder, where one was built; else what only it could say is not judged. Raises TrainingRefused where the
    checks could not be made, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="mtac-preflight-") as temporary:
        recipe, out = Path(temporary) / "recipe.json", Path(temporary) / "results.json"
        write_json(recipe, {"schema_version": 1, **resolved.document()})
        count = workers or project.environment.launcher.workers
        arguments = ["--recipe", str(recipe), "--workers", str(count), "--out", str(out)]
        if training_set is not None:
            arguments += ["--training-set", str(training_set)]
        try:
            code = run_child(MODULE, arguments, project.root, variables(project, resolved), LIMIT_SECONDS)
        except Overdue:
            raise TrainingRefused(_unanswered(resolved, f"did not end within {LIMIT_SECONDS} s")) from None
        if not out.is_file():
            how = f"was ended by {signal_words(code)}" if code < 0 else f"ended with exit code {code}"
            raise TrainingRefused(_unanswered(resolved, f"{how} and told nothing"))
        document = read_json(out)
    raise_all(TrainingRefused, read_findings(document))
    return document["checks"]


def require(checks: Sequence[dict[str, Any]]) -> None:
    """Raise CheckFailed with the finding of every check that failed."""
    raise_all(CheckFailed, (Finding(**one["finding"]) for one in checks if not one["passed"]))


def _unanswered(resolved: ResolvedRecipe, how: str) -> Finding:
    return Finding(
        f"the preflight {how}",
        resolved.name,
        "every check's result",
        f"`mtac check {resolved.name} --workers W --device NAME` shows what it says",
    )
