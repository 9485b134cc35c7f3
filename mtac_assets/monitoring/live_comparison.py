"""Two models on the same live rows, paired: what a shadow period and a rollback are decided on.

What does not belong here: the decisions themselves (shadow.py), and the test (evaluation.compare).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mtac_assets.monitoring import shadow
from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.monitoring.live_days import require_not_learned
from mtac_assets.monitoring.scorer import open_model
from mtac_assets.monitoring.stored_predictions import LABEL, SCORE, PredictionManifest, read_scores
from mtac_assets.spec.errors import Finding, raise_all

if TYPE_CHECKING:
    import pyarrow as pa

    from mtac_assets.evaluation.compare import Comparison
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.recipe import Rollback, Shadow

Scores = dict[str, tuple[PredictionManifest, "pa.Table"]]


def compare_live(
    project: Project,
    a: str,
    b: str,
    keys: Iterable[str],
    metric: str = "log_loss",
    *,
    min_effect: float = 0.0,
    seed_deviation: float = 0.0,
) -> Comparison:
    """Is model `a` better than `b` on the labelled rows of the days `keys`? `effect` > 0 and a small `p_value` say so.

    Both must have scored these days, as their data is now. Raises MonitoringError where they have not, where one of them may
    have learned from a day, where the rows or labels are not the same, or no row has a label.
    """
    import numpy as np

    from mtac_assets.evaluation.compare import compare

    days = tuple(sorted(set(keys)))
    ours, theirs = (_scores(project, model_id, days) for model_id in (a, b))
    raise_all(MonitoringError, [finding for day in days if (finding := _unlike(a, b, day, ours, theirs)) is not None])
    labels, units, scores_a, scores_b = [], [], [], []
    for day in days:
        label = ours[day][1][LABEL].to_numpy()
        known = ~np.isnan(label)
        labels.append(label[known])
        units.append(np.full(int(known.sum()), day, dtype="U10"))
        scores_a.append(ours[day][1][SCORE].to_numpy()[known])
        scores_b.append(theirs[day][1][SCORE].to_numpy()[known])
    if not sum(map(len, labels)):
        raise MonitoringError(
            Finding(f"none of {len(days)} days has a label", f"{a}, {b}", "labelled live rows", "wait for the labels")
        )
    settings = open_model(project, a).resolved.recipe.evaluation.bootstrap
    return compare(
        np.concatenate(labels),
        np.concatenate(units),
        np.concatenate(scores_a),
        np.concatenate(scores_b),
        metric,
        resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
        min_effect=min_effect,
        seed_deviation=seed_deviation,
    )


def labelled_days(project: Project, model_id: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Those of `keys` of which at least one row has a label, in order."""
    recipe = open_model(project, model_id).recipe
    found = read_scores(project, recipe, model_id, tuple(sorted(set(keys))))
    return tuple(day for day, (manifest, _) in found.items() if manifest.labelled)


def judge_shadow(
    project: Project, champion: str, challenger: str, keys: Iterable[str], settings: Shadow
) -> shadow.Verdict:
    """`shadow.shadow_verdict` over the days `keys` since the challenger became one, both models' scores compared."""
    days = shadow.shadow_days(labelled_days(project, challenger, keys), settings)
    comparison = (
        compare_live(
            project,
            challenger,
            champion,
            days,
            settings.metric,
            min_effect=settings.min_effect,
            seed_deviation=settings.seed_deviation,
        )
        if len(days) == settings.days
        else None
    )
    return shadow.shadow_verdict(days, comparison, settings)


def judge_rollback(
    project: Project, champion: str, predecessor: str, keys: Iterable[str], settings: Rollback
) -> shadow.Verdict:
    """`shadow.rollback_verdict` over the days `keys` since the champion became one, both models' scores compared."""
    labelled = labelled_days(project, champion, keys)
    days = shadow.rollback_days(labelled, settings)
    comparison = (
        compare_live(project, predecessor, champion, days, settings.metric, min_effect=settings.min_effect)
        if days
        else None
    )
    return shadow.rollback_verdict(labelled, comparison, settings)


def _scores(project: Project, model_id: str, days: tuple[str, ...]) -> Scores:
    model = open_model(project, model_id)
    if model.resolved.as_of is not None:
        require_not_learned(model.resolved, model_id, days)
    return read_scores(project, model.recipe, model_id, days)


def _unlike(a: str, b: str, day: str, ours: Mapping[str, tuple], theirs: Mapping[str, tuple]) -> Finding | None:
    import numpy as np

    (mine, left), (other, right) = ours[day], theirs[day]
    if mine.input_digest != other.input_digest or not left.select(mine.key_columns).equals(
        right.select(other.key_columns)
    ):
        what = "the two models scored different rows"
    elif not np.array_equal(left[LABEL].to_numpy(), right[LABEL].to_numpy(), equal_nan=True):
        what = "the two models' recipes give the rows different labels"
    else:
        return None
    return Finding(what, f"{a}, {b}, {day}", "the same rows and labels for both", "compare models of one question")
