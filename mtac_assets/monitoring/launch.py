"""Scoring in a process of its own, so that whoever asks loads no torch and the arithmetic is set up as in training.

The child (`python -m mtac_assets.monitoring`) writes its answer as JSON and its errors as the findings that it had. With `code`
it runs in another checkout: a model whose code is no longer the project's is scored by its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from mtac_assets.monitoring import stored_predictions as stored
from mtac_assets.monitoring.errors import MonitoringError, OtherCode, ScoringKilled
from mtac_assets.monitoring.predictions import DayScores, pending_days, score_days
from mtac_assets.monitoring.scorer import open_model
from mtac_assets.provenance.files import read_json
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError
from mtac_assets.spec.project import Project
from mtac_assets.training import flags

MODULE = "mtac_assets.monitoring"


def score_days_apart(
    project: Project,
    model_id: str,
    keys: Iterable[str],
    *,
    code: Project | None = None,
    on_note: Callable[[str], None] | None = None,
) -> tuple[DayScores, ...]:
    """As `predictions.score_days`, in a process of its own where there is something to score.

    `code`: the checkout that the model is scored by (default: the project). Scores go to the project's state either way.
    Raises what `score_days` raises (MonitoringError or CheckFailed with the child's findings), ScoringKilled where a signal
    or the environment's `limits.run_seconds` ended the child.
    """
    asked = tuple(dict.fromkeys(keys))
    if code is None and not pending_days(project, model_id, asked):
        return score_days(project, model_id, asked)  # all kept: nothing heavy is loaded
    model = open_model(project, model_id)
    out = stored.folder_of(project, model.recipe, model_id)
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
        command = [sys.executable, "-m", MODULE, *arguments, "--model", model_id]
        command += ["--pack", str(model.pack.folder), "--data", str(project.state.data), "--answer", str(answer)]
        variables = {
            **os.environ,
            **flags.variables(model.resolved.recipe.training),
            "APP_ENV": project.environment.name,
        }
        status = _run(command, code.root, variables, project.environment.limits.run_seconds, on_note)
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
        name = signal.Signals(-status).name
        hint = "; the system ends processes so when memory runs out" if -status == signal.SIGKILL else ""
        return ScoringKilled(
            Finding(f"scoring was ended by {name}{hint}", model_id, "an end of its own", "try once more")
        )
    return ScoringKilled(
        Finding(f"scoring ended with code {status} and said no more", model_id, "0", "see its last lines above")
    )


def _run(
    command: list[str], root: Path, variables: Mapping[str, str], limit: float, on_note: Callable[[str], None] | None
) -> int:
    """The child's exit code. It leads a session of its own, which is ended with it, at the limit or by our own end."""
    child = subprocess.Popen(
        command,
        cwd=root,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if on_note is None else subprocess.PIPE,
        start_new_session=True,
    )
    reader = None
    if on_note is not None:
        assert child.stderr is not None
        reader = threading.Thread(target=_relay, args=(child.stderr, on_note), daemon=True)
        reader.start()
    try:
        status = child.wait(limit)
    except BaseException as error:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ScoringKilled(
                Finding(
                    f"scoring took longer than {limit:g} s and was ended",
                    "limits.run_seconds of the environment",
                    f"an end within {limit:g} s",
                    "raise the limit, or score fewer days at once",
                )
            ) from error
        raise
    if reader is not None:
        reader.join()
    return status


def _relay(stream: IO[bytes], on_note: Callable[[str], None]) -> None:
    for line in stream:
        on_note(line.decode(errors="replace").rstrip())
