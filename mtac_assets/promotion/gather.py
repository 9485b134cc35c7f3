"""Gathering what a decision looks at: packs hashed again, stamps read from the commit, models scored anew on the same rows.

No earlier step's word is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mtac_assets.promotion.approved import branches_containing
from mtac_assets.promotion.gates import Evidence
from mtac_assets.promotion.reproduce import newest_reproduction
from mtac_assets.promotion.score_anew import pack_of, score_anew
from mtac_assets.provenance import refs, signatures
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.identity import fingerprint_of
from mtac_assets.provenance.ledger import Entry
from mtac_assets.provenance.refs import ModelSummary
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import Gates
from mtac_assets.training.errors import PackInvalid
from mtac_assets.training.pack import Pack


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
    comparison: Mapping[str, Any] | None = None
    if damaged or not rejudge:
        report: Mapping[str, Any] = _json(refs.read_model_file(project, summary.model_id, "report/report.json"))
    else:
        report, comparison = score_anew(project, summary, champion_id, gates, echo)
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


def _damage(project: Project, repository: Repository, summary: ModelSummary) -> list[str]:
    """Everything of the pack or the commit whose digest does not hold, named."""
    folder = pack_of(project, summary.model_id)
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


def _json(content: bytes) -> dict[str, Any]:
    import json

    return json.loads(content)
