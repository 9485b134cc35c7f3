"""Scores of the test rows by the model that is evaluated and by a champion beside it. A pack is verified before it says anything.

What does not belong here: what the scores come to (assess.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.material import Material, champion_frame
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.pack import Pack


def opened(resolved: ResolvedRecipe, pack: Path, champion: Path | None) -> tuple[Pack, Pack | None]:
    """Both packs, every digest checked. Raises PackInvalid, and EvaluationError where `pack` is of another recipe."""
    sealed = Pack.open(pack)
    theirs = Pack.open(champion) if champion is not None else None
    for one in (sealed, theirs):
        if one is not None:
            one.verify()
    _require_same_recipe(resolved, sealed)
    return sealed, theirs


def own_scores(resolved: ResolvedRecipe, pack: Pack, material: Material) -> np.ndarray:
    """The model's scores of the test rows, float64 [N]."""
    from mtac_assets.training.predict import load

    return load(pack.folder, resolved.folder).predict(material.frame)


def champion_scores(
    project: Project, resolved: ResolvedRecipe, champion: Pack, material: Material, data_dir: Path | None
) -> np.ndarray:
    """The champion's scores of the same rows, in the same order, by the features that its own recipe asks for: float64 [N]."""
    from mtac_assets.training.predict import load

    frame = champion_frame(project, resolved, champion, material, data_dir)
    return load(champion.folder, resolved.folder).predict(frame)


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
