"""Models scored anew for a decision: the one that is judged, and the champion on the same rows or documents.

A model is always scored by its own code: by the project's where that is still the code that trained it, otherwise by the code of its
commit in a clean room. Where both run by the project's code, one process scores them. A clean room is asked for a whole report, as
`mtac run` makes it: its code may be older than any shorter form of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.evaluation.launch import evaluate, judge, score_documents
from mtac_assets.promotion.errors import PromotionError
from mtac_assets.promotion.own_code import is_own_code, own_code
from mtac_assets.provenance import refs
from mtac_assets.provenance.files import read_json
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.language import LanguageChampionGate
from mtac_assets.spec.load import load_resolved
from mtac_assets.spec.recipe import ChampionGate, Gates

if TYPE_CHECKING:
    from mtac_assets.provenance.refs import ModelSummary
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

DECISIONS = "decisions"
Comparison = Mapping[str, Any] | None


def score_anew(
    project: Project, summary: ModelSummary, champion_id: str | None, gates: Gates, echo: Callable[[str], None]
) -> tuple[Mapping[str, Any], Comparison]:
    """What the model comes to on its test rows, and its comparison with the champion, where there is one and a gate asks."""
    resolved = load_resolved(pack_of(project, summary.model_id) / "recipe.json", project)
    folder = project.state.reports / DECISIONS / summary.model_id
    comparison: Comparison = None
    beside = "" if champion_id is None or gates.champion is None else f" and the champion {champion_id}"
    echo(f"scoring {summary.model_id}{beside} on its test {'documents' if resolved.is_language else 'rows'}")
    if resolved.is_language:
        _report(project, summary, resolved, folder)
        if champion_id is not None and isinstance(gates.champion, LanguageChampionGate):
            comparison = _compare_texts(project, champion_id, summary.model_id, resolved, folder, gates.champion)
    elif champion_id is None or gates.champion is None:
        _score(project, summary, resolved, gates, folder)
    else:
        comparison = _compare(project, refs.find_model(project, champion_id), summary, resolved, gates, folder)
    return read_json(folder / "report.json"), comparison


def pack_of(project: Project, model_id: str) -> Path:
    """The folder of a model's pack. Raises PromotionError where it is not here."""
    folder = project.state.models / model_id
    if not folder.is_dir():
        raise PromotionError(
            Finding(f"the pack of {model_id} is not here", str(folder), "a finished model", f"mtac fetch {model_id}")
        )
    return folder


def _compare(
    project: Project,
    champion: ModelSummary,
    summary: ModelSummary,
    resolved: ResolvedRecipe,
    gates: Gates,
    folder: Path,
) -> dict[str, Any]:
    """The paired comparison with the champion on the challenger's test rows, or why there can be none (`invalid`)."""
    pack = pack_of(project, champion.model_id)
    theirs = load_resolved(pack / "recipe.json", project)
    if theirs.as_of is not None and resolved.as_of is not None and theirs.as_of > resolved.as_of:
        _score(project, summary, resolved, gates, folder)
        return {"invalid": f"the champion (as of {theirs.as_of}) may have learned from the rows it would be judged on"}
    if all(is_own_code(project, *each) for each in ((summary, resolved), (champion, theirs))):
        _score(project, summary, resolved, gates, folder, pack)
        return _paired(folder, folder, "champion", resolved, gates.champion)
    _score(project, summary, resolved, gates, folder)
    # The champion's recipe and code, on the challenger's test days; its baselines are of no interest here.
    evaluation = {**resolved.fields["evaluation"], "baselines": []}
    no_gates = Gates().model_dump(mode="json")
    fields = {**theirs.fields, "evaluation": evaluation, "window": resolved.fields["window"], "gates": no_gates}
    judged = replace(theirs, fields=fields, as_of=resolved.as_of, history_start=resolved.history_start)
    apart = folder.with_name(f"{folder.name}-champion")
    _report(project, champion, judged, apart)
    return _paired(folder, apart, "model", resolved, gates.champion)


def _score(
    project: Project,
    summary: ModelSummary,
    resolved: ResolvedRecipe,
    gates: Gates,
    out: Path,
    champion: Path | None = None,
) -> None:
    """The numbers that the gates ask for; `champion`: a pack that the project's code scores too, where that is the model's own."""
    if not is_own_code(project, summary, resolved):
        _report(project, summary, resolved, out)
        return
    baselines = () if gates.baseline is None else (gates.baseline.name,)
    pack, data = pack_of(project, summary.model_id), project.state.data
    judge(project, resolved, pack, out=out, data_dir=data, baselines=baselines, champion=champion)


def _report(project: Project, summary: ModelSummary, resolved: ResolvedRecipe, out: Path) -> None:
    """A whole report, by the model's own code."""
    with own_code(project, summary, resolved) as own:
        pack = pack_of(project, summary.model_id)
        evaluate(own, resolved, pack, out=out, data_dir=project.state.data, on_note=lambda _: None)


def _paired(own: Path, other: Path, column: str, resolved: ResolvedRecipe, gate: ChampionGate | None) -> dict[str, Any]:
    """The comparison of scores in the folder `own` with those of the champion, in `column` of the folder `other`."""
    import numpy as np

    from mtac_assets.evaluation.compare import compare
    from mtac_assets.evaluation.report import open_report

    assert gate is not None, "asked for by the caller"
    mine, theirs = (open_report(folder).scores() for folder in (own, other))
    labels, units = mine["label"].to_numpy(), mine["unit"].to_numpy()
    same = np.array_equal(labels, theirs["label"].to_numpy()) and np.array_equal(units, theirs["unit"].to_numpy())
    if not same:
        return {"invalid": "the two models' test rows or labels are not the same"}
    settings = resolved.recipe.evaluation.bootstrap
    return compare(
        labels,
        units,
        mine["model"].to_numpy(),
        theirs[column].to_numpy(),
        gate.metric,
        resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
        min_effect=gate.min_effect,
        seed_deviation=gate.seed_deviation,
    ).document()


def _compare_texts(
    project: Project, champion_id: str, own_id: str, resolved: ResolvedRecipe, folder: Path, gate: LanguageChampionGate
) -> dict[str, Any]:
    """The paired comparison with the champion on the challenger's held-out documents, or why there can be none (`invalid`)."""
    from mtac_assets.data.mix.errors import MixError
    from mtac_assets.data.mix.traced_model import traced

    champion = refs.find_model(project, champion_id)
    pack, documents = pack_of(project, champion_id), traced(project, own_id).folder
    theirs = load_resolved(pack / "recipe.json", project)
    digests = [
        read_json(path)["tokens"]["tokenizer"]["digest"]
        for path in (pack / "model.json", pack_of(project, own_id) / "model.json")
    ]
    try:
        tokens = documents if digests[0] == digests[1] else traced(project, champion_id).folder
    except MixError as error:
        return {"invalid": f"the champion's tokeniser cannot be had: {error.findings[0].error}"}
    out = folder.with_name(f"{folder.name}-champion.parquet")
    with own_code(project, champion, theirs) as own:
        score_documents(own, theirs, pack, tokens=tokens, documents=documents, out=out)
    import pyarrow.parquet as pq

    from mtac_assets.evaluation.language.documents import compare_documents
    from mtac_assets.evaluation.report import open_report

    settings = resolved.language.evaluation.bootstrap
    return compare_documents(open_report(folder).scores(), pq.read_table(out), gate, settings)
