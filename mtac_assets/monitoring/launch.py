"""Scoring in a process of its own, so that whoever asks loads no torch and the arithmetic is set up as in training.

The child (`python -m mtac_assets.monitoring`) writes its answer as JSON and its errors as the findings that it had. With `code`
it runs in another checkout: a model whose code is no longer the project's is scored by its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtac_assets.monitoring import stored_predictions as stored
from mtac_assets.monitoring.errors import MonitoringError, OtherCode, ScoringKilled
from mtac_assets.monitoring.predictions import DayScores, pending_days, score_days
from mtac_assets.monitoring.scorer import open_model
from mtac_assets.provenance.files import read_json
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError
from mtac_assets.spec.project import Project
from mtac_assets.training.child import Overdue, run_child, signal_words, variables

MODULE = "mtac_assets.monitoring"
LIBRARIES = ("torch", "safetensors.torch", "pandas", "pyarrow.parquet")


def score_days_apart(
    project: Project,
    model_id: str,
    keys: Iterable[str],
    *,
    code: Project | None = None,
    out: Path | None = None,
    on_note: Callable[[str], None] | None = None,
) -> tuple[DayScores, ...]:
    """As `predictions.score_days`, in a process of its own where there is something to score.

    `code`: the checkout that the model is scored by (default: the project). Scores go to the project's state either way, or to
    the folder `out`.
    Raises what `score_days` raises (MonitoringError or CheckFailed with the child's findings), ScoringKilled where a signal
    or the environment's `limits.run_seconds` ended the child.
    """
    asked = tuple(dict.fromkeys(keys))
    if code is None and not pending_days(project, model_id, asked, out=out):
        return score_days(project, model_id, asked, out=out)  # all kept: nothing heavy is loaded
    model = open_model(project, model_id)
    out = out or stored.folder_of(project, model.recipe, model_id)
    arguments = ["days", "--out", str(out), *(part for key in asked for part in ("--day", key))]
    answer = _ask(project, code or project, model_id, arguments, on_note)
    return tuple(DayScores(**{**day, "path": Path(day["path"])}) for day in answer["days"])


def predict_file_apart(
    project: Project,
    model_id: str,
    source: Path,
    out: Path,
    *,
    force: bool = False,
    code: Project | None = None,
    on_note: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """As `by_hand.predict_file`, in a process of its own; its document."""
    arguments = [
        "file",
        "--input",
        str(source.absolute()),
        "--out",
        str(out.absolute()),
        *(["--force"] if force else []),
    ]
    return _ask(project, code or project, model_id, arguments, on_note)["answer"]


def _ask(
    project: Project, code: Project, model_id: str, arguments: Sequence[str], on_note: Callable[[str], None] | None
) -> dict[str, Any]:
    model = open_model(project, model_id)
    with tempfile.TemporaryDirectory(prefix="mtac-scoring-") as folder:
        answer = Path(folder) / "answer.json"
        order = [*arguments, "--model", model_id, "--pack", str(model.pack.folder)]
        order += ["--data", str(project.state.data), "--answer", str(answer)]
        limit = project.environment.limits.run_seconds
        try:
            status = run_child(MODULE, order, code.root, variables(project, model.resolved), limit, on_note)
        except Overdue as error:
            raise ScoringKilled(
                Finding(
                    f"scoring took longer than {limit:g} s and was ended",
                    "limits.run_seconds of the environment",
                    f"an end within {limit:g} s",
                    "raise the limit, or score fewer days at once",
                )
            ) from error
        if not answer.is_file():
            raise _killed(status, model_id)
        document = read_json(answer)
    if status != 0:
        raise _failure(document)
    return document


def _failure(document: Mapping[str, Any]) -> MtacError:
    findings = [Finding(**entry) for entry in document["errors"]]
    if document["kind"] == OtherCode.__name__:
        return OtherCode(*findings)
    return (CheckFailed if document["exit_code"] == CheckFailed.exit_code else MonitoringError)(*findings)


def _killed(status: int, model_id: str) -> ScoringKilled:
    if status < 0:
        return ScoringKilled(
            Finding(f"scoring was ended by {signal_words(status)}", model_id, "an end of its own", "try once more")
        )
    return ScoringKilled(
        Finding(f"scoring ended with code {status} and said no more", model_id, "0", "see its last lines above")
    )
