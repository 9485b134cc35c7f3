"""Evaluate one model: its test rows, its scores, its baselines and champion, all numbers, and the folder that holds them.

    test rows + scores -> assess -> report.json, report.html, plots

What does not belong here: arithmetic (assess.py and below), reading of features (material.py), starting a process (launch.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtac_assets.evaluation.assess import HeldOut, assess, scores_table
from mtac_assets.evaluation.beforehand import Beforehand, Stopwatch, look
from mtac_assets.evaluation.page import report_page
from mtac_assets.evaluation.plots import draw_all
from mtac_assets.evaluation.report import Report, publish_report
from mtac_assets.evaluation.scoring import champion_scores, opened, own_scores
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.keys import report_key
from mtac_assets.provenance.usage import Usage
from mtac_assets.spec import clock
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.pack import Pack

SHOWN_PACKAGES = ("torch", "numpy", "scikit-learn", "pandas", "pyarrow")


def evaluate(
    project: Project,
    resolved: ResolvedRecipe,
    pack: Path,
    *,
    champion: Path | None = None,
    data_dir: Path | None = None,
    out: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
    beforehand: Beforehand | None = None,
    before: Usage | None = None,
    kept: Path | None = None,
) -> Report:
    """Evaluate `pack` on the test rows of `resolved`, beside its baselines and the `champion` pack; publish the report.

    `out`: the report's folder, by default reports/<Model ID>. `beforehand`: what was read and fitted while the model was
    trained; done anew where data or code have changed since. `before`: what this process had used for other work. `kept`: a
    folder that keeps baselines (`kept_baselines`). Raises EvaluationError where rows or scores are unfit,
    PackInvalid where a pack is not what was sealed, and what reading features raises. Whatever fails, what was at `out`
    stays.
    """
    sealed, theirs = opened(resolved, pack, champion)
    if beforehand is None or not beforehand.holds(project, resolved, data_dir):
        beforehand = look(project, resolved, data_dir, note, kept)
    material, baselines = beforehand.material, dict(beforehand.baselines)
    watch = Stopwatch(note, dict(beforehand.seconds))
    with watch.part("scores", f"scoring with {sealed.model_id}"):
        scores = own_scores(resolved, sealed, material)
    against = None
    if theirs is not None:
        with watch.part("scores", f"scoring with the champion {theirs.model_id}"):
            against = champion_scores(project, resolved, theirs, material, data_dir)
    test = HeldOut(material.labels, material.days, material.slices)
    with watch.part("metrics", f"{resolved.recipe.evaluation.bootstrap.resamples:,} resamples"):
        document = assess(test, scores, baselines, against, resolved.recipe.evaluation)
    document |= identity_of(project, resolved, sealed) | {
        "train": material.train,
        "validate": material.validate,
        "test": material.test,
        "overlap_rows": material.overlap_rows,
        "key": report_key(project, resolved, sealed.model_id),
        "seconds": watch.seconds,
        "usage": Usage.so_far(sum(watch.seconds.values())).since(before or Usage()).document(),
    }
    if theirs is not None:
        identity = {"model_id": theirs.model_id, "weights_digest": theirs.weights_digest}
        document["comparison"] = {"champion": identity, "metrics": document["comparison"]}
    report = publish_report(
        document,
        scores_table(test, resolved.recipe.evaluation.bootstrap.unit, scores, baselines, against),
        out or project.state.reports / sealed.model_id,
        draw_all,
        report_page,
    )
    note("; ".join(f"{name} {_shown(metric)}" for name, metric in report.metrics.items()))
    return report


def identity_of(project: Project, resolved: ResolvedRecipe, pack: Pack) -> dict[str, Any]:
    """What a report says of the model, whatever it learned from."""
    declared = pack.document("environment")["declared"]
    shown = ("python", "platform.machine", *(f"package.{name}" for name in SHOWN_PACKAGES))
    return {
        "model_id": pack.model_id,
        "recipe": resolved.name,
        "description": resolved.recipe.description,
        "owner": resolved.recipe.owner,
        "as_of": None if resolved.as_of is None else resolved.as_of.isoformat(),
        "fingerprint": pack.fingerprint,
        "weights_digest": pack.weights_digest,
        "created_at": clock.timestamp(),
        "code_commit": _commit(project),
        "environment": {name.split(".")[-1]: declared[name] for name in shown if name in declared},
        "recipe_document": resolved.document(),
    }


def _commit(project: Project) -> str | None:
    """The commit that is checked out while this is measured; None without Git. The model's own commit comes after it."""
    try:
        return Repository.at(project.root).resolve("HEAD")
    except GitError:
        return None


def _shown(metric: dict[str, Any]) -> str:
    return "undefined" if metric["value"] is None else f"{metric['value']:.4f}"
