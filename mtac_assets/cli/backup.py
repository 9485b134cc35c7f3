"""`mtac backup DIR` and `mtac restore DIR`: everything that a rebuild needs, in one folder and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]
MEGABYTE = 1 << 20


@app.command()
def backup(
    folder: Folder,
    verify: Annotated[bool, typer.Option("--verify", help="Read all of it again afterwards.")] = False,
    json: Json = False,
) -> None:
    """Save models, data, ledgers and code into a folder, what is new since the last time; whole or not at all."""
    from mtac_assets.provenance.backup import backup, verify_backup
    from mtac_assets.spec.errors import CheckFailed, raise_all
    from mtac_assets.spec.project import find_project

    done = backup(find_project(), folder)
    if verify:
        raise_all(CheckFailed, verify_backup(folder))
    if json:
        output.emit({**done.document(), "verified": verify})
        return
    new = f"{len(done.references)} references and {done.objects} objects ({done.bytes / MEGABYTE:.1f} MB) are new"
    output.console().print(f"{done.models} models are safe in {folder}: {new}{', all read again' if verify else ''}")


@app.command()
def restore(folder: Folder, json: Json = False) -> None:
    """Bring back what a backup holds: references, objects, packs, reports and data. Refuses to overwrite what differs."""
    from mtac_assets.promotion.unpack import unpack_all, unpack_data
    from mtac_assets.provenance.backup import restore
    from mtac_assets.spec.project import find_project

    project = find_project()
    shared = restore(project, folder)
    partitions = unpack_data(project)  # before the models: of a day that was corrected since, the newest counts
    models = unpack_all(project)
    if json:
        output.emit(
            {
                "schema_version": 1,
                "folder": str(folder),
                "references": list(shared.references),
                "objects": shared.objects,
                "bytes": shared.bytes,
                "models": models,
                "partitions": partitions,
            }
        )
        return
    output.console().print(
        f"{len(shared.references)} references and {shared.objects} objects ({shared.bytes / MEGABYTE:.1f} MB) restored; "
        f"{len(models)} models and {partitions} partitions laid out. `mtac verify` reads all of it again"
    )
