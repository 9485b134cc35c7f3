"""Performance: the champion's log loss on live labels, window by window, against its loss on its own test rows.

Concept drift (the same inputs, another answer) is found here and nowhere else: no look at inputs or scores can tell it. One
statistic decides, the log loss, so that there is one error rate to keep; ROC AUC and the base rate stand beside it for people.
The test days are the reference, the validation loss stands beside it (decision 0013).

What does not belong here: the arithmetic (live_loss.py), which days are live (live_days.py), drift of inputs (drift/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mtac_assets.monitoring.live_days import Span, first_live_day, require_live, windows
from mtac_assets.monitoring.scorer import open_model
from mtac_assets.monitoring.stored_predictions import LABEL, SCORE, read_scores
from mtac_assets.spec.recipe import Bootstrap, PerformanceTrigger

if TYPE_CHECKING:
    import pyarrow as pa

    from mtac_assets.evaluation.scored_rows import ScoredRows
    from mtac_assets.spec.project import Project

State = Literal["OK", "WATCH", "ALARM", "INSUFFICIENT"]
SCHEMA_VERSION = 1
METRICS = ("log_loss", "roc_auc")


@dataclass(frozen=True)
class Window:
    """One window. `metrics`: log_loss and roc_auc with intervals by day; `difference`: the loss minus the reference's, with
    interval and one-sided p-value; `base_rate_loss`: the log loss of knowing this window's base rate and nothing else.

    WATCH: worse than the reference by more than `min_effect`. ALARM: so for `persistence` judged windows in a row.
    """

    first: str
    last: str
    days: int
    days_there: int
    rows: int
    labelled: int
    state: State
    reason: str | None = None
    base_rate: float | None = None
    base_rate_loss: float | None = None
    metrics: Mapping[str, Mapping[str, Any]] | None = None
    difference: Mapping[str, Any] | None = None
    by_day: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Performance:
    """A model's live performance. `state` is that of the last window that could be judged."""

    model_id: str
    recipe: str
    state: State
    reference: Mapping[str, Any]
    settings: PerformanceTrigger
    windows: tuple[Window, ...]

    def document(self) -> dict[str, Any]:
        """Plain JSON values; NaN never."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model_id": self.model_id,
            "recipe": self.recipe,
            "state": self.state,
            "reference": dict(self.reference),
            "settings": self.settings.model_dump(mode="json"),
            "windows": [asdict(window) | {"by_day": list(window.by_day)} for window in self.windows],
        }


def performance(project: Project, model_id: str, keys: Iterable[str], settings: PerformanceTrigger) -> Performance:
    """Judge the model's scores of the days `keys`, by the labels that are known in them.

    Raises MonitoringError where a day was not scored, was scored before its data (or labels) changed, or is not live for
    the model; EvaluationError where its report is missing or damaged.
    """
    from mtac_assets.evaluation.report import open_report
    from mtac_assets.evaluation.scored_rows import scored_rows

    days = tuple(sorted(set(keys)))
    model = open_model(project, model_id)
    require_live(model.resolved, model_id, days)
    scores = {day: table for day, (_, table) in read_scores(project, model.recipe, model_id, days).items()}
    report = open_report(project.state.reports / model_id)
    tested = report.scores()
    reference = scored_rows(
        tested["label"].to_numpy(), tested["unit"].to_numpy(), tested["model"].to_numpy(), f"report of {model_id}"
    )
    bootstrap = model.resolved.recipe.evaluation.bootstrap
    spans = windows(first_live_day(model.resolved), days, settings.window_days)
    judged = with_persistence(
        [_judge(span, scores, reference, settings, bootstrap) for span in spans], settings.persistence
    )
    known: list[State] = [window.state for window in judged if window.state != "INSUFFICIENT"]
    return Performance(
        model_id=model_id,
        recipe=model.recipe,
        state=known[-1] if known else "INSUFFICIENT",
        reference={
            "what": "test rows",
            "first": report.document["test"]["days"][0],
            "last": report.document["test"]["days"][-1],
            "rows": reference.rows,
            "base_rate": float(reference.labels.mean()),
            "metrics": {name: report.metrics[name] for name in METRICS},
            "validation": validation_loss(model.pack.document("training")["curve"]),
        },
        settings=settings,
        windows=judged,
    )


def validation_loss(curve: Sequence[Mapping[str, Any]]) -> float | None:
    """The log loss on the validation rows at the end of training, from the pack's `curve`; None where nothing was validated.

    No interval: the pack holds the number, not the rows.
    """
    found = [point["validation"]["log_loss"] for point in curve if "log_loss" in point.get("validation", {})]
    return float(found[-1]) if found else None


def with_persistence(judged: Sequence[Window], persistence: int) -> tuple[Window, ...]:
    """WATCH becomes ALARM at the `persistence`-th worse window in a row. A window that could not be judged neither counts
    nor breaks the row."""
    found: list[Window] = []
    worse = 0
    for window in judged:
        if window.state == "WATCH":
            worse += 1
        elif window.state == "OK":
            worse = 0
        alarm = window.state == "WATCH" and worse >= persistence
        found.append(replace(window, state="ALARM") if alarm else window)
    return tuple(found)


def _judge(
    span: Span,
    scores: Mapping[str, pa.Table],
    reference: ScoredRows,
    settings: PerformanceTrigger,
    bootstrap: Bootstrap,
) -> Window:
    from mtac_assets.evaluation.bootstrap import resample_days
    from mtac_assets.evaluation.metrics import measure
    from mtac_assets.monitoring.live_loss import loss_difference

    total = sum(scores[day].num_rows for day in span.there)
    rows = labelled_rows({day: scores[day] for day in span.there})
    window = Window(
        span.first, span.last, span.days, len(span.there), total, 0 if rows is None else rows.rows, "INSUFFICIENT"
    )
    if rows is None:
        return replace(window, reason=_open(span) or "no row has a label")
    resampling = resample_days(
        rows.day_count, resamples=bootstrap.resamples, seed=bootstrap.seed, confidence=bootstrap.confidence
    )
    rate = float(rows.labels.mean())
    window = replace(
        window,
        base_rate=rate,
        base_rate_loss=_entropy(rate),
        metrics={name: value.document() for name, value in measure(rows, resampling, METRICS).items()},
        by_day=_by_day(rows),
    )
    if (still := _open(span)) is not None:
        return replace(window, reason=still)
    if rows.rows < settings.min_rows:
        return replace(window, reason=f"{rows.rows} labelled rows; {settings.min_rows} are needed")
    difference = loss_difference(
        rows,
        reference,
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        confidence=bootstrap.confidence,
        min_effect=settings.min_effect,
    )
    window = replace(window, difference=difference.document())
    if difference.p_value is None:
        return replace(window, reason=difference.reason)
    return replace(window, state="WATCH" if difference.p_value <= settings.alpha else "OK")


def labelled_rows(scores: Mapping[str, pa.Table]) -> ScoredRows | None:
    """The rows of several days whose label is known, each with its day; None where none is."""
    import numpy as np

    from mtac_assets.evaluation.scored_rows import scored_rows

    labels, found, days = [], [], []
    for day, table in scores.items():
        label = table[LABEL].to_numpy()
        known = ~np.isnan(label)
        labels.append(label[known])
        found.append(table[SCORE].to_numpy()[known])
        days.append(np.full(int(known.sum()), day, dtype="U10"))
    if not sum(map(len, labels)):
        return None
    return scored_rows(np.concatenate(labels), np.concatenate(days), np.concatenate(found), "live scores")


def _open(span: Span) -> str | None:
    return None if span.closed else f"open until {span.last}: {len(span.there)} of {span.days} days so far"


def _by_day(rows: ScoredRows) -> tuple[dict[str, Any], ...]:
    import numpy as np

    from mtac_assets.evaluation.metrics import row_log_loss

    counts = np.bincount(rows.day, minlength=rows.day_count)
    losses = np.bincount(rows.day, row_log_loss(rows), rows.day_count) / counts
    return tuple(
        {"day": str(day), "labelled": int(count), "log_loss": float(loss)}
        for day, count, loss in zip(rows.day_keys, counts, losses, strict=True)
    )


def _entropy(rate: float) -> float:
    import math

    return -sum(share * math.log(share) for share in (rate, 1 - rate) if share > 0)
