"""`mtac where-used`: the models and steps that saw a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json

if TYPE_CHECKING:
    from mtac_assets.data.mix.trace import Use
    from mtac_assets.data.mix.traced_model import TracedModel
    from mtac_assets.spec.project import Project

NAMED = 12  # steps named on the terminal; --json has all


@app.command()
def where_used(
    document: Annotated[
        str, typer.Argument(metavar="SOURCE:DOCUMENT", help="A source of a mix (or its dataset), and a document.")
    ],
    json: Json = False,
) -> None:
    """Name every model that a document went into, and the steps that saw it: what a request to delete it asks."""
    from mtac_assets.spec.errors import Finding, MtacError
    from mtac_assets.spec.project import find_project

    source, colon, name = document.partition(":")
    if not (source and colon and name):
        finding = Finding(
            f"`{document}` names no document", "mtac where-used", "SOURCE:DOCUMENT", "write source:document"
        )
        raise MtacError(finding)
    project = find_project()
    found = [_document(model, use) for model, use in _uses(project, source, name)]
    if not found:
        expected = "a document of a source, or of its dataset, of a recorded model"
        raise MtacError(
            Finding(f"no model of texts has `{name}` in `{source}`", document, expected, "mtac models lists them")
        )
    if json:
        output.emit({"schema_version": 1, "source": source, "document": name, "models": found})
        return
    for entry in found:
        _print(entry)


def _uses(project: Project, source: str, document: str) -> Iterator[tuple[TracedModel, Use]]:
    from mtac_assets.data.mix.trace import find
    from mtac_assets.data.mix.traced_model import language_models, traced

    for model_id in language_models(project):
        model = traced(project, model_id)
        fields = model.resolved.fields
        for name, entry in fields["mix"]["sources"].items():
            if source in (name, entry["dataset"]):
                use = find(model.folder, name, document, tuple(fields["tokenizer"]["trained_on"]))
                if use is not None:
                    yield model, use


def _document(model: TracedModel, use: Use) -> dict[str, Any]:
    from mtac_assets.data.mix.trace import steps_with

    return {
        "model_id": model.model_id,
        "source": use.source,
        "part": use.part,
        "sequences": len(use.rows),
        "tokenizer": use.tokenizer,
        "steps": list(steps_with(model.folder, model.seed, use)),
    }


def _print(entry: dict[str, Any]) -> None:
    steps = entry["steps"]
    named = ", ".join(f"{step:,}" for step in steps[:NAMED]) + (
        f" and {len(steps) - NAMED:,} more" if len(steps) > NAMED else ""
    )
    learnt = "; its tokeniser learnt from it" if entry["tokenizer"] else ""
    told = {
        "train": f"in {len(steps):,} steps: {named}" if steps else "to train on, and no step came to it",
        "validate": "held out to validate on; no step saw it",
        "test": "held out to evaluate on; no step saw it",
        "left out": "left out by a filter; no step saw it",
    }[entry["part"]]
    output.console().print(f"[bold]{entry['model_id']}[/]  {entry['source']}  {told}{learnt}", soft_wrap=True)
