"""`mtac samples`: the very sequences that one step of a language model learnt from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import ModelId
from mtac_assets.cli.output import Json

SHOWN = 160  # characters of a sequence on the terminal


@app.command()
def samples(
    model_id: ModelId,
    step: Annotated[int, typer.Option(help="The step, counted from 0.", min=0)],
    json: Json = False,
) -> None:
    """Show the sequences of one step: source, epoch, documents and text. Computed from the recipe; nothing was kept."""
    from mtac_assets.data.mix.trace import samples as sequences
    from mtac_assets.data.mix.traced_model import traced
    from mtac_assets.provenance.refs import resolve_id
    from mtac_assets.spec.errors import Finding, MtacError
    from mtac_assets.spec.project import find_project

    project = find_project()
    model = traced(project, resolve_id(project, model_id))
    try:
        found = list(sequences(model.folder, model.seed, step))
    except ValueError as error:
        raise MtacError(Finding(str(error), "--step", "a step of the training", "name one of them")) from None
    if json:
        output.emit(
            {"schema_version": 1, "model_id": model.model_id, "step": step, "samples": [asdict(one) for one in found]}
        )
        return
    out = output.console()
    for one in found:
        out.print(f"\n[bold]{one.place:,}[/]  {one.source}, epoch {one.epoch}, row {one.row:,}:", end=" ")
        out.print(", ".join(one.documents), markup=False, soft_wrap=True)
        text = one.text if len(one.text) <= SHOWN else f"{one.text[:SHOWN]}..."
        out.print(repr(text), markup=False, highlight=False, soft_wrap=True)
