"""What a decision looks at: a model scored anew on its test rows, and the numbers that gates hold against their bounds.

As a report has them, and no more: gates read values, not intervals, and nobody reads a page that a decision made. The champion is
scored on the same rows, so that the comparison needs one table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mtac_assets.evaluation.assess import HeldOut, points, scores_table
from mtac_assets.evaluation.beforehand import look
from mtac_assets.evaluation.report import Report, publish_report
from mtac_assets.evaluation.scoring import champion_scores, opened, own_scores
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe


def judge(
    project: Project,
    resolved: ResolvedRecipe,
    pack: Path,
    *,
    baselines: Sequence[str],
    champion: Path | None = None,
    data_dir: Path | None = None,
    out: Path,
    note: Callable[[str], None] = lambda _: None,
    kept: Path | None = None,
) -> Report:
    """Score `pack`, the `champion` and the named baselines on the test rows of `resolved`; publish the numbers at `out`.
    `kept`: a folder that keeps baselines (`kept_baselines`).

    Raises what `evaluate.evaluate` raises.
    """
    sealed, theirs = opened(resolved, pack, champion)
    fields = {**resolved.fields, "evaluation": {**resolved.fields["evaluation"], "baselines": list(baselines)}}
    seen = look(project, replace(resolved, fields=fields), data_dir, note, kept)
    material = seen.material
    note(f"scoring with {sealed.model_id}")
    scores = own_scores(resolved, sealed, material)
    against = None
    if theirs is not None:
        note(f"scoring with the champion {theirs.model_id}")
        against = champion_scores(project, resolved, theirs, material, data_dir)
    evaluation = resolved.recipe.evaluation
    test = HeldOut(material.labels, material.days, material.slices)
    document = points(test, scores, seen.baselines, evaluation) | {
        "model_id": sealed.model_id,
        "weights_digest": sealed.weights_digest,
        "champion_id": None if theirs is None else theirs.model_id,
        "test": material.test,
        "overlap_rows": material.overlap_rows,
    }
    table = scores_table(test, evaluation.bootstrap.unit, scores, seen.baselines, against)
    return publish_report(document, table, out)
