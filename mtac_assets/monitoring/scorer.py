"""A model made ready to score: its sealed pack, its own recipe, its own code, and golden rows that come out equal.

What does not belong here: which rows are scored (predictions.py, by_hand.py). torch is loaded only by `load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.monitoring.errors import MonitoringError, OtherCode
from mtac_assets.provenance import closure
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.spec.load import load_resolved
from mtac_assets.training.pack import Pack

if TYPE_CHECKING:
    import pyarrow as pa

    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe
    from mtac_assets.training.predict import Predictor

SHOWN = 5


@dataclass(frozen=True)
class Model:
    """A pack and the recipe that it was trained by; `resolved.folder` lies in the project whose code scores."""

    pack: Pack
    resolved: ResolvedRecipe

    @property
    def model_id(self) -> str:
        return self.pack.model_id

    @property
    def recipe(self) -> str:
        return self.resolved.name


def open_model(project: Project, model_id: str, pack: Path | None = None) -> Model:
    """The model `model_id` from `pack` (by default the state's). MonitoringError where it is not here, PackInvalid where
    it is no sealed pack."""
    folder = pack or project.state.models / model_id
    if not folder.is_dir():
        raise MonitoringError(
            Finding(f"the pack of {model_id} is not here", str(folder), "a finished model", "mtac fetch")
        )
    opened = Pack.open(folder)
    if opened.model_id != model_id:
        raise MonitoringError(
            Finding(f"the pack is that of {opened.model_id}", str(folder), model_id, "name the pack of this model")
        )
    return Model(opened, load_resolved(folder / "recipe.json", project))


def require_own_code(project: Project, model: Model) -> None:
    """OtherCode, naming the leaves, unless the project's code is what the model declared before it was trained."""
    declared = code_of(model.pack)
    try:
        ours: Mapping[str, str] = closure.code_closure(project, model.resolved)
    except MtacError as error:  # the recipe is no longer here, or no longer sound
        raise OtherCode(_other_code(model, error.findings[0].error)) from error
    changed = [name for name in sorted(ours.keys() | declared.keys()) if ours.get(name) != declared.get(name)]
    if changed:
        shown = ", ".join(name.removeprefix("code.") for name in changed[:SHOWN])
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise OtherCode(_other_code(model, f"{shown}{more}"))


def code_of(pack: Pack) -> dict[str, str]:
    """The code leaves that the model declared."""
    leaves = pack.document("declaration")["leaves"]
    return {name: value for name, value in leaves.items() if name.startswith("code.")}


def _other_code(model: Model, what: str) -> Finding:
    return Finding(
        f"the code here is not the code that trained {model.model_id}: {what}",
        model.resolved.folder_name,
        "features by the very code of the training",
        f"score in a checkout of the model's own commit (git worktree add FOLDER refs/mtac/models/{model.model_id}), "
        "or train a model of the code as it is now",
    )


def load(model: Model) -> Predictor:
    """Hash the pack, load the weights, score the golden rows. PackInvalid (a failed check) where one of them is not equal."""
    from mtac_assets.training import predict

    model.pack.verify()
    return predict.load(model.pack.folder, model.resolved.folder)


def unseen_categories(table: pa.Table, predictor: Predictor) -> dict[str, int]:
    """Rows whose category the model never saw in training, by column; they are scored as missing. None of them: empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, int] = {}
    for name, vocabulary in zip(predictor.schema.categorical, predictor.schema.vocabularies, strict=True):
        column = table[name].cast(pa.string())
        known = pc.is_in(column, value_set=pa.array(vocabulary, pa.string()))  # pyright: ignore[reportAttributeAccessIssue]
        unseen = len(column) - column.null_count - int(pc.sum(known).as_py() or 0)  # pyright: ignore[reportAttributeAccessIssue]
        if unseen:
            found[name] = unseen
    return found
