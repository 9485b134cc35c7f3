"""`mtac push`, `mtac fetch` and `mtac gc`: models, data and ledgers to a remote, from it, and away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json

if TYPE_CHECKING:
    from mtac_assets.provenance.share import Shared
    from mtac_assets.spec.project import Project

Remote = Annotated[str, typer.Argument(metavar="[REMOTE]", help="A Git remote.")]
MEGABYTE = 1 << 20


@app.command()
def push(remote: Remote = "origin", json: Json = False) -> None:
    """Send models, data histories and ledgers to a Git remote, and their objects to the store, together or not at all."""
    from mtac_assets.provenance.share import push
    from mtac_assets.spec.project import find_project

    _show(push(find_project(), remote), "pushed to", remote, json)


@app.command()
def fetch(remote: Remote = "origin", json: Json = False) -> None:
    """Bring models, data histories and ledgers of a Git remote here, with all their objects, or nothing."""
    from mtac_assets.promotion.unpack import unpack_all
    from mtac_assets.provenance.share import fetch
    from mtac_assets.spec.project import find_project

    project = find_project()
    shared = fetch(project, remote)
    unpack_all(project)
    _show(shared, "fetched from", remote, json)


@app.command()
def gc(
    keep: Annotated[int, typer.Option("--keep", min=0, help="The newest N models of each recipe stay.")] = 10,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Say what nobody needs any more, and with --yes remove it: models, and what runs left behind. Champions and what a ledger
    names stay."""
    from mtac_assets.provenance.gc import collect, find_garbage
    from mtac_assets.spec.project import find_project

    project = find_project()
    garbage = find_garbage(project, keep)
    if yes:
        collect(project, garbage)
    old = _runs(project, yes)
    if json:
        output.emit(
            {
                "schema_version": 1,
                "removed": yes,
                "models": list(garbage.models),
                "objects": len(garbage.objects),
                "bytes": garbage.bytes,
                "kept": garbage.kept,
                "runs": old.document(),
            }
        )
    else:
        for name, reason in garbage.kept.items():
            output.console().print(f"[green]keep[/]  {name}  [dim]{reason}[/]")
        for name in garbage.models:
            output.console().print(f"[red]drop[/]  {name}")
        word = "frees" if yes else "would free"
        size = garbage.bytes / MEGABYTE
        output.console().print(f"{word} {size:.1f} MB: {len(garbage.models)} models, {len(garbage.objects)} objects")
        if old.kept_for_ever:
            output.console().print("[dim]runs stay for ever: the environment has no retention[/]")
        else:
            output.console().print(
                f"{word} {old.bytes / MEGABYTE:.1f} MB: {old.runs} old runs, {old.folders} folders of runs and replays"
                f" [dim]({old.needed} old runs stay: Dagster's view of what there is rests on them)[/]"
            )
        if (garbage.models or garbage.folders or old.runs or old.folders) and not yes:
            output.console().print("[dim]nothing was removed; add --yes[/]")


@dataclass(frozen=True)
class OldRuns:
    """What runs left behind and the environment's retention lets go."""

    kept_for_ever: bool
    runs: int = 0
    folders: int = 0
    needed: int = 0
    bytes: int = 0

    def document(self) -> dict[str, Any]:
        return asdict(self)


def _runs(project: Project, yes: bool) -> OldRuns:
    retention = project.environment.retention
    if retention.finished_days is None and retention.failed_days is None:
        return OldRuns(kept_for_ever=True)
    from mtac_assets.orchestration.instance import instance
    from mtac_assets.orchestration.retention import clear, outdated

    with instance(project) as opened:
        found = outdated(project, opened)
        if yes:
            clear(project, opened, found)
    return OldRuns(False, len(found.runs), len(found.folders), found.kept, found.bytes)


def _show(shared: Shared, word: str, remote: str, json: bool) -> None:
    if json:
        output.emit(
            {
                "schema_version": 1,
                "remote": remote,
                "references": list(shared.references),
                "objects": shared.objects,
                "bytes": shared.bytes,
            }
        )
        return
    for name in shared.references:
        output.console().print(f"  {name}")
    size = shared.bytes / MEGABYTE
    output.console().print(
        f"{len(shared.references)} references and {shared.objects} objects ({size:.1f} MB) {word} {remote}"
    )
