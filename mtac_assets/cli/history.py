"""`mtac history`: every decision about a recipe, and what was the champion at a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


@app.command()
def history(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name.")],
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Who was champion then? UTC, ISO 8601.")
    ] = None,
    json: Json = False,
) -> None:
    """List the decisions about a recipe, oldest first; with --at, the champion of that moment."""
    from mtac_assets.provenance import ledger
    from mtac_assets.spec.project import find_project

    project = find_project()
    environment = project.environment.name
    if at is not None:
        moment = parse_moment(at)
        entry = ledger.champion_at(project, environment, recipe, moment)
        if json:
            champion = {**entry.document(), "commit": entry.commit} if entry else None
            output.emit({"schema_version": 1, "recipe": recipe, "at": moment.isoformat(), "champion": champion})
        elif entry is None:
            output.console().print(f"{recipe} had no champion at {moment.isoformat()}")
        else:
            output.console().print(
                f"[bold]{entry.model_id}[/]  since {entry.at}, by {entry.actor}: {entry.reason}", soft_wrap=True
            )
        return
    entries = ledger.history(project, environment, recipe)
    if json:
        listed = [{**entry.document(), "commit": entry.commit} for entry in entries]
        output.emit({"schema_version": 1, "recipe": recipe, "environment": environment, "entries": listed})
        return
    print_history(project, recipe)


def print_history(project: Project, recipe: str) -> None:
    """Every decision about a recipe in this environment, oldest first."""
    from mtac_assets.provenance import ledger

    environment = project.environment.name
    entries = ledger.history(project, environment, recipe)
    if not entries:
        output.console().print(f"no decision about {recipe} yet in {environment}")
        return
    rows = [
        [
            str(entry.sequence),
            entry.at[:16].replace("T", " "),
            entry.kind,
            (entry.model_id or "").removeprefix(f"{recipe}-"),
            entry.actor,
            _told(entry.kind, entry.evidence, entry.reason),
        ]
        for entry in entries
    ]
    output.print_table(f"{recipe} in {environment}", ["#", "when (UTC)", "what", "model", "who", "why"], rows)


def parse_moment(text: str) -> datetime:
    """A moment in ISO 8601; without an offset it is UTC. A bare date is its first instant."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MtacError(
            Finding(f"{text!r} is no moment", "--at", "ISO 8601, in UTC", "write it like --at 2013-07-15T12:00:00")
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _told(kind: str, evidence: object, reason: str) -> str:
    """The reason a person gave, and for a refusal the gates that failed."""
    if kind == "reproduction" and isinstance(evidence, dict):
        return " ".join(filter(None, [evidence.get("verdict", ""), reason]))
    if kind == "refuse" and isinstance(evidence, dict):
        failed = [verdict["gate"] for verdict in evidence.get("verdicts", []) if not verdict["passed"]]
        return f"{reason} (failed: {', '.join(failed)})"
    return reason
