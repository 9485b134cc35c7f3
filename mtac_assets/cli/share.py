"""`mtac push`, `mtac fetch` and `mtac gc`: models, data and ledgers to a remote, from it, and away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json

if TYPE_CHECKING:
    from mtac_assets.provenance.share import Shared

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
    """Say what nobody needs any more, and with --yes remove it. Champions and what a ledger names stay."""
    from mtac_assets.provenance.gc import collect, find_garbage
    from mtac_assets.spec.project import find_project

    project = find_project()
    garbage = find_garbage(project, keep)
    if json:
        output.emit(
            {
                "schema_version": 1,
                "removed": yes,
                "models": list(garbage.models),
                "objects": len(garbage.objects),
                "bytes": garbage.bytes,
                "kept": garbage.kept,
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
        if (garbage.models or garbage.folders) and not yes:
            output.console().print("[dim]nothing was removed; add --yes[/]")
    if yes:
        collect(project, garbage)


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
