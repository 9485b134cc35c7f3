"""Evaluate one model: its test rows, its scores, its baselines and champion, all numbers, and the folder that holds them.

    test rows + scores -> assess -> report.json, report.html, plots

What does not belong here: arithmetic (assess.py and below), reading of features (material.py), starting a process (launch.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mtac_assets.evaluation.assess import HeldOut, assess, units
from mtac_assets.evaluation.beforehand import Beforehand, Stopwatch, look
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.material import Material, champion_frame
from mtac_assets.evaluation.report import Report, write_report
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.keys import report_key
from mtac_assets.provenance.usage import Usage
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding
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
) -> Report:
    """Evaluate `pack` on the test rows of `resolved`, beside its baselines and the `champion` pack; publish the report.

    `out`: the report's folder, by default reports/<Model ID>. `beforehand`: what was read and fitted while the model was
    trained; done anew where data or code have changed since. Raises EvaluationError where rows or scores are unfit,
    PackInvalid where a pack is not what was sealed, and what reading features raises. Whatever fails, what was at `out`
    stays.
    """
    from mtac_assets.training.predict import load

    sealed = Pack.open(pack)
    for one in (sealed, *([Pack.open(champion)] if champion is not None else [])):
        one.verify()
    _require_same_recipe(resolved, sealed)
    if beforehand is None or not beforehand.holds(project, resolved, data_dir):
        beforehand = look(project, resolved, data_dir, note)
    material, baselines = beforehand.material, dict(beforehand.baselines)
    watch = Stopwatch(note, dict(beforehand.seconds))
    with watch.part("scores", f"scoring with {sealed.model_id}"):
        scores = load(pack, resolved.folder).predict(material.frame)
    against = _champion_scores(project, resolved, champion, material, data_dir, watch)
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
        "usage": Usage.so_far(sum(watch.seconds.values())).document(),
    }
    if champion is not None:
        theirs = Pack.open(champion)
        identity = {"model_id": theirs.model_id, "weights_digest": theirs.weights_digest}
        document["comparison"] = {"champion": identity, "metrics": document["comparison"]}
    report = write_report(
        document,
        _scores_table(test, resolved.recipe.evaluation.bootstrap.unit, scores, baselines, against),
        out or project.state.reports / sealed.model_id,
    )
    note("; ".join(f"{name} {_shown(metric)}" for name, metric in report.metrics.items()))
    return report


def _require_same_recipe(resolved: ResolvedRecipe, pack: Pack) -> None:
    """A pack is judged by the recipe that it was trained by, as of its own date or, as a champion is, of a later one.

    An earlier date would test on rows that it may have learned from.
    """
    trained = pack.document("recipe")
    ours = resolved.document()
    later = trained["as_of"] is not None and ours["as_of"] is not None and trained["as_of"] < ours["as_of"]
    free = ("as_of", "window") if later else ()
    for name in ("name", "as_of", "window", "data", "features"):
        if name not in free and trained[name] != ours[name]:
            raise EvaluationError(
                Finding(
                    f"the pack was trained with {name} = {trained[name]!r}",
                    str(pack.folder),
                    f"{name} = {ours[name]!r}, as the recipe to evaluate by says",
                    "evaluate it by its own recipe.json",
                )
            )


def _champion_scores(
    project: Project,
    resolved: ResolvedRecipe,
    champion: Path | None,
    material: Material,
    data_dir: Path | None,
    watch: Stopwatch,
) -> np.ndarray | None:
    """The champion's scores of the same rows, in the same order, by the features that its own recipe asks for."""
    if champion is None:
        return None
    from mtac_assets.training.predict import load

    with watch.part("scores", f"scoring with the champion {Pack.open(champion).model_id}"):
        frame = champion_frame(project, resolved, champion, material, data_dir)
        return load(champion, resolved.folder).predict(frame)


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


def _scores_table(
    test: HeldOut, unit: str, scores: np.ndarray, baselines: dict[str, np.ndarray], champion: np.ndarray | None
) -> pa.Table:
    columns: dict[str, Any] = {"label": test.labels.astype(np.int8), "unit": units(test, unit), "model": scores}
    if champion is not None:
        columns["champion"] = champion
    return pa.table(columns | baselines)


def _shown(metric: dict[str, Any]) -> str:
    return "undefined" if metric["value"] is None else f"{metric['value']:.4f}"
