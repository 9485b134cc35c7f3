"""`mtac show`: what produced a model, when, by what trigger, on whose approval, and is it still intact? From the refs alone."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import ModelId
from mtac_assets.cli.cost import cost_words
from mtac_assets.cli.output import Json
from mtac_assets.cli.record import BASELINES, METRICS, in_order

if TYPE_CHECKING:
    from mtac_assets.provenance.refs import ModelSummary
    from mtac_assets.spec.project import Project

DECIDING = ("promote", "rollback")


@app.command()
def show(model_id: ModelId, json: Json = False) -> None:
    """Show one model: its origin, its metrics, what was decided about it, and whether it is still intact."""
    from mtac_assets.spec.project import find_project

    document = model_document(find_project(), model_id)
    if json:
        output.emit(document)
    else:
        _print(document)


def model_document(project: Project, prefix: str) -> dict[str, Any]:
    """Everything that the model's commit and the ledger say of it."""
    from mtac_assets.provenance import ledger, refs
    from mtac_assets.provenance.intact import pack_problems

    summary = refs.find_model(project, refs.resolve_id(project, prefix))
    read = {name: _read(project, summary, name) for name in ("declaration", "training", "environment")}
    report = _read(project, summary, "report/report") if summary.report_digest else {}
    decisions = [
        {
            "sequence": e.sequence,
            "at": e.at,
            "kind": e.kind,
            "actor": e.actor,
            "reason": e.reason,
            "verdict": e.evidence.get("verdict"),
            "approved_by": e.evidence.get("approved_by", e.actor),
        }
        for e in ledger.history(project, project.environment.name, summary.recipe)
        if e.model_id == summary.model_id
    ]
    approvals = [entry for entry in decisions if entry["kind"] in DECIDING]
    leaves = read["declaration"]["leaves"]
    pack = project.state.models / summary.model_id
    problems = pack_problems(pack, project.state.cache / "packs.json") if pack.is_dir() else None
    return {
        "schema_version": 1,
        **summary.document(),
        "metrics": in_order(summary.metrics, METRICS),
        "approved_by": approvals[-1]["approved_by"] if approvals else None,
        "baselines": in_order(report.get("baselines", {}), BASELINES),
        "test": report.get("test"),
        "training": {
            key: read["training"].get(key) for key in ("steps", "epochs", "seconds", "peak_memory_bytes", "rows")
        },
        "data": _data(leaves),
        "environment": read["environment"]["declared"],
        "decisions": decisions,
        "intact": None if problems is None else not problems,
        "problems": problems or [],
        "report": output.shown_path(project.state.reports / summary.model_id / "report.html"),
    }


def _read(project: Project, summary: ModelSummary, name: str) -> dict[str, Any]:
    from mtac_assets.provenance import refs

    return jsonlib.loads(refs.read_model_file(project, summary.model_id, f"{name}.json", folder=summary.folder))


def _data(leaves: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Dataset to its first and last partition and how many there are, of those that decide the weights."""
    keys: dict[str, list[str]] = {}
    for leaf in leaves:
        if leaf.startswith("data."):
            dataset, _, key = leaf.removeprefix("data.").partition("/")
            keys.setdefault(dataset, []).append(key)
    return {name: {"partitions": len(found), "first": min(found), "last": max(found)} for name, found in keys.items()}


def _because(evidence: Mapping[str, Any]) -> str:
    """The reason that a person gave, or the sentence of the trigger that asked; empty in records without one."""
    return str(evidence.get("reason") or evidence.get("why") or "")


def _print(document: dict[str, Any]) -> None:
    from rich.markup import escape

    out = output.console()
    intact = {
        None: "[yellow]its pack is not here; mtac fetch brings it[/]",
        True: "[green]intact[/]",
        False: "[bold red]damaged[/]",
    }[document["intact"]]
    out.print(f"\n[bold]{document['model_id']}[/]  {document['status']}  {intact}")
    for problem in document["problems"]:
        out.print(f"  [red]{escape(problem)}[/]")
    lines = [
        ("as of", document["as_of"] or "no time"),
        (
            "made",
            f"{document['created_at'][:19].replace('T', ' ')} UTC by {escape(document['actor']) or 'nobody named'}, trigger: {document['trigger']}",
        ),
        *([("because", escape(because))] if (because := _because(document["evidence"])) else []),
        (
            "code",
            f"{(document['code'] or 'no commit')[:12]} on {document['branch'] or 'no branch'}"
            + (" [yellow]with uncommitted changes[/]" if document["dirty"] else ""),
        ),
        ("commit", document["commit"]),
        ("fingerprint", document["fingerprint"]),
        ("weights", document["weights_digest"]),
        ("approved by", document["approved_by"] or "nobody yet"),
    ]
    lines += [
        (f"data {name}", f"{found['partitions']} partitions, {found['first']} to {found['last']}")
        for name, found in document["data"].items()
    ]
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        out.print(f"  [dim]{label.ljust(width)}[/]  {value}", soft_wrap=True)
    if document["cost"]:
        out.print(f"  [dim]{'cost'.ljust(width)}[/]  {cost_words(document['cost'])}", soft_wrap=True)
    if document["metrics"]:
        output.print_metrics(document["metrics"], document["baselines"])
    for entry in document["decisions"]:
        verdict = f" {entry['verdict']}" if entry["verdict"] else ""
        out.print(
            f"  [dim]{entry['sequence']:>4}  {entry['at'][:19]}[/]  {entry['kind']}{verdict}  {escape(entry['actor'])}  {escape(entry['reason'])}",
            soft_wrap=True,
        )
