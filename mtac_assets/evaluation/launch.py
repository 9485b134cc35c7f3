"""Evaluating in a process of its own, so that whoever asks loads neither torch nor scikit-learn. No heavy import here.

The child (`python -m mtac_assets.evaluation`) writes progress to standard error, nothing to standard output, and the folder
at once; its errors come back as the findings that it had.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from mtac_assets.evaluation.errors import EvaluationError, EvaluationKilled
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training import ahead
from mtac_assets.training.child import Overdue, run_child, signal_words, variables

MODULE = "mtac_assets.evaluation"
LIBRARIES = (
    "torch",
    "safetensors.torch",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.compose",
    "matplotlib.figure",
    "jinja2",
)


def evaluate(
    project: Project,
    resolved: ResolvedRecipe,
    pack: Path,
    *,
    champion: Path | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
    pipes: Mapping[str, str] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Path:
    """Evaluate `pack` on the test rows of `resolved` and return the report's folder (by default reports/<Model ID>).

    `champion`: a pack to be scored on the same rows. `pipes`: variables for the child's environment. `on_note` gets each
    line of progress. Raises EvaluationError or CheckFailed with the child's findings; EvaluationKilled where a signal or
    the environment's `limits.run_seconds` ended it.
    """
    final = out if out is not None else project.state.reports / read_json(pack / "pack.json")["model_id"]
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-evaluation-", dir=final.parent) as folder:
        recipe, errors = Path(folder) / "recipe.json", Path(folder) / "errors.json"
        write_json(recipe, {"schema_version": 1, **resolved.document()})
        arguments = ["--recipe", str(recipe), "--pack", str(pack), "--out", str(final)]
        arguments += ["--data", str(data_dir or project.state.data), "--errors", str(errors)]
        if champion is not None:
            arguments += ["--champion", str(champion)]
        environment = {**variables(project, resolved), **(pipes or {})}
        limit = project.environment.limits.run_seconds
        try:
            code = run_child(MODULE, arguments, project.root, environment, limit, on_note)
        except Overdue as error:
            raise EvaluationKilled(
                Finding(
                    f"the evaluation took longer than {limit:g} s and was ended",
                    "limits.run_seconds of the environment",
                    f"an end within {limit:g} s",
                    "raise the limit, or lower evaluation.bootstrap.resamples",
                )
            ) from error
        if code != 0:
            raise _failure(code, errors, final)
    return final


def prepare(project: Project, resolved: ResolvedRecipe) -> None:
    """Begin the process of an evaluation whose notes will be read, to load its libraries while the training ends."""
    ahead.prepare(MODULE, LIBRARIES, project.root, variables(project, resolved), stderr=subprocess.PIPE)


def _failure(code: int, errors: Path, out: Path) -> MtacError:
    if code < 0:
        finding = Finding(
            f"the evaluation was ended by {signal_words(code)}", str(out), "an exit of its own", "evaluate once more"
        )
        return EvaluationKilled(finding)
    if not errors.is_file():
        finding = Finding(
            f"the evaluation ended with code {code} and said no more", str(out), "0", "see its last lines above"
        )
        return EvaluationKilled(finding)
    findings = [Finding(**entry) for entry in read_json(errors)["errors"]]
    return (CheckFailed if code == CheckFailed.exit_code else EvaluationError)(*findings)
