"""Gathering what a decision looks at: packs hashed again, stamps read from the commit, models scored anew on the same rows.

No earlier step's word is trusted. A model is always scored by its own code: by the project's where that is still the code
that trained it, otherwise by the code of its commit in a clean room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtac_assets.evaluation.launch import evaluate, score_documents
from mtac_assets.promotion.approved import branches_containing
from mtac_assets.promotion.errors import PromotionError
from mtac_assets.promotion.gates import Evidence
from mtac_assets.promotion.own_code import own_code
from mtac_assets.promotion.reproduce import newest_reproduction
from mtac_assets.provenance import refs, signatures
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.identity import fingerprint_of
from mtac_assets.provenance.ledger import Entry
from mtac_assets.provenance.refs import ModelSummary
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.language import LanguageChampionGate
from mtac_assets.spec.load import load_resolved
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import ChampionGate, Gates
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.errors import PackInvalid
from mtac_assets.training.pack import Pack

DECISIONS = "decisions"


def gather(
    project: Project,
    summary: ModelSummary,
    champion: Entry | None,
    entries: Sequence[Entry],
    gates: Gates,
    actor: str,
    echo: Callable[[str], None] = lambda _: None,
    *,
    rejudge: bool = True,
) -> Evidence:
    """All evidence about one model. With `rejudge`, it and the champion are scored anew on the model's test rows.

    Raises PromotionError where the pack is not here at all; damage is evidence, not an error.
    """
    repository = Repository.at(project.root)
    echo("hashing the pack and reading the commit")
    damaged = _damage(project, repository, summary)
    champion_id = champion.model_id if champion is not None else None
    comparison = None
    if damaged or not rejudge:
        report: Mapping[str, Any] = _json(refs.read_model_file(project, summary.model_id, "report/report.json"))
    else:
        resolved = load_resolved(_pack(project, summary.model_id) / "recipe.json", project)
        folder = project.state.reports / DECISIONS / summary.model_id
        echo(f"scoring {summary.model_id} on its test rows")
        _evaluate(project, summary, resolved, folder)
        report = read_json(folder / "report.json")
        rule = gates.champion
        if champion_id is not None and rule is not None:
            echo(f"scoring the champion {champion_id} on the same {'documents' if resolved.is_language else 'rows'}")
            if isinstance(rule, LanguageChampionGate):
                comparison = _compare_texts(project, champion_id, summary.model_id, resolved, folder, rule)
            else:
                comparison = _compare(project, champion_id, resolved, folder, rule)
    return Evidence(
        model_id=summary.model_id,
        report=report,
        champion_id=champion_id,
        comparison=comparison,
        reproduction=newest_reproduction(entries, summary.model_id),
        unstamped=_unstamped(project, summary),
        damaged=damaged,
        dirty=summary.dirty,
        code_commit=summary.code or "",
        branches_containing=branches_containing(repository, summary.code) if summary.code else (),
        actor=actor,
        unsigned=_unsigned(project, summary),
    )


def _unsigned(project: Project, summary: ModelSummary) -> str | None:
    if not project.environment.promotion.signing.required:
        return None
    return signatures.unsigned(project, [summary.commit]).get(summary.commit)


def _pack(project: Project, model_id: str) -> Path:
    folder = project.state.models / model_id
    if not folder.is_dir():
        raise PromotionError(
            Finding(f"the pack of {model_id} is not here", str(folder), "a finished model", f"mtac fetch {model_id}")
        )
    return folder


def _damage(project: Project, repository: Repository, summary: ModelSummary) -> list[str]:
    """Everything of the pack or the commit whose digest does not hold, named."""
    folder = _pack(project, summary.model_id)
    try:
        pack = Pack.open(folder)
        pack.verify()
    except PackInvalid as error:
        return [f"{finding.where}: {finding.error}" for finding in error.findings]
    recorded = _json(refs.read_model_file(project, summary.model_id, "pack.json"))
    names = sorted(recorded["files"].keys() | pack.seal["files"].keys())
    found = [
        f"{name} of the pack is not the one in commit {summary.commit[:12]}"
        for name in names
        if recorded["files"].get(name) != pack.seal["files"].get(name)
    ]
    declaration = _json(refs.read_model_file(project, summary.model_id, "declaration.json"))
    fingerprint = fingerprint_of(declaration["leaves"])
    if not fingerprint == declaration["fingerprint"] == summary.fingerprint == pack.fingerprint:
        found.append("the declaration's leaves do not give the fingerprint")
    if summary.weights_digest != pack.weights_digest:
        found.append("the commit's summary names other weights than the pack")
    if not summary.model_id.endswith(f"-{fingerprint[:12]}"):
        found.append("the Model ID is not that of the fingerprint")
    return found


def _unstamped(project: Project, summary: ModelSummary) -> list[str]:
    """Training partitions whose stamp in the commit is missing, for other content, or not passed."""
    repository = Repository.at(project.root)
    leaves = _json(refs.read_model_file(project, summary.model_id, "declaration.json"))["leaves"]
    wanted = {name.removeprefix("data."): value for name, value in leaves.items() if name.startswith("data.")}
    base = f"{refs.MODELS}{summary.model_id}:{summary.folder}data/"
    found = repository.read([f"{base}{name}.stamp.json" for name in wanted])
    unstamped: list[str] = []
    for name, digest in wanted.items():
        content = found[f"{base}{name}.stamp.json"]
        stamp = _json(content) if content is not None else {}
        passed = bool(stamp.get("checks")) and all(check["passed"] is True for check in stamp["checks"])
        if stamp.get("content_digest") != digest or not passed:
            unstamped.append(name)
    return unstamped


def _evaluate(project: Project, summary: ModelSummary, resolved: ResolvedRecipe, out: Path) -> None:
    with own_code(project, summary, resolved) as own:
        pack = _pack(project, summary.model_id)
        evaluate(own, resolved, pack, out=out, data_dir=project.state.data, on_note=lambda _: None)


def _compare(
    project: Project, champion_id: str, resolved: ResolvedRecipe, folder: Path, gate: ChampionGate
) -> dict[str, Any]:
    """The paired comparison with the champion on the challenger's test rows, or why there can be none (`invalid`)."""
    champion = refs.find_model(project, champion_id)
    theirs = load_resolved(_pack(project, champion_id) / "recipe.json", project)
    if theirs.as_of is not None and resolved.as_of is not None and theirs.as_of > resolved.as_of:
        return {"invalid": f"the champion (as of {theirs.as_of}) may have learned from the rows it would be judged on"}
    # The champion's recipe and code, on the challenger's test days; its baselines are of no interest here.
    evaluation = {**resolved.fields["evaluation"], "baselines": []}
    no_gates = Gates().model_dump(mode="json")
    fields = {**theirs.fields, "evaluation": evaluation, "window": resolved.fields["window"], "gates": no_gates}
    judged = replace(theirs, fields=fields, as_of=resolved.as_of, history_start=resolved.history_start)
    out = folder.with_name(f"{folder.name}-champion")
    _evaluate(project, champion, judged, out)
    return _paired(folder, out, resolved, gate)


def _compare_texts(
    project: Project, champion_id: str, own_id: str, resolved: ResolvedRecipe, folder: Path, gate: LanguageChampionGate
) -> dict[str, Any]:
    """The paired comparison with the champion on the challenger's held-out documents, or why there can be none (`invalid`)."""
    from mtac_assets.data.mix.errors import MixError
    from mtac_assets.data.mix.traced_model import traced

    champion = refs.find_model(project, champion_id)
    pack, documents = _pack(project, champion_id), traced(project, own_id).folder
    theirs = load_resolved(pack / "recipe.json", project)
    digests = [
        read_json(path)["tokens"]["tokenizer"]["digest"]
        for path in (pack / "model.json", _pack(project, own_id) / "model.json")
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


def _paired(folder: Path, champion: Path, resolved: ResolvedRecipe, gate: ChampionGate) -> dict[str, Any]:
    import numpy as np

    from mtac_assets.evaluation.compare import compare
    from mtac_assets.evaluation.report import open_report

    own, other = open_report(folder).scores(), open_report(champion).scores()
    labels, units = own["label"].to_numpy(), own["unit"].to_numpy()
    same = np.array_equal(labels, other["label"].to_numpy()) and np.array_equal(units, other["unit"].to_numpy())
    if not same:
        return {"invalid": "the two models' test rows or labels are not the same"}
    settings = resolved.recipe.evaluation.bootstrap
    return compare(
        labels,
        units,
        own["model"].to_numpy(),
        other["model"].to_numpy(),
        gate.metric,
        resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
        min_effect=gate.min_effect,
        seed_deviation=gate.seed_deviation,
    ).document()


def _json(content: bytes) -> dict[str, Any]:
    import json

    return json.loads(content)
