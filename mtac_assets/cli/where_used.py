"""`mtac where-used`: the models and steps that saw a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import EXIT_CHECK_FAILED, Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.data.mix.trace import Use
    from mtac_assets.data.mix.traced_model import TracedModel
    from mtac_assets.spec.project import Project

NAMED = 12  # steps named on the terminal; --json has all, written as they are computed


@app.command()
def where_used(
    document: Annotated[
        str, typer.Argument(metavar="SOURCE:DOCUMENT", help="A source of a mix (or its dataset), and a document.")
    ],
    json: Json = False,
) -> int:
    """Name every model that a document went into, and the steps that saw it: what a request to delete it asks.

    Exit code 1 where it cannot be told of every model.
    """
    from mtac_assets.spec.project import find_project

    source, colon, name = document.partition(":")
    if not (source and colon and name):
        finding = Finding(
            f"`{document}` names no document", "mtac where-used", "SOURCE:DOCUMENT", "write source:document"
        )
        raise MtacError(finding)
    project = find_project()
    found = [_document(answer) for answer in _answers(project, source, name)]
    if not found:
        expected = "a document of a source, or of its dataset, of a recorded model"
        raise MtacError(
            Finding(f"no model of texts has `{name}` in `{source}`", document, expected, "mtac models lists them")
        )
    if json:
        output.emit_streamed({"schema_version": 1, "source": source, "document": name, "models": found})
    else:
        for entry in found:
            _print(entry)
    return EXIT_CHECK_FAILED if any("unknown" in entry for entry in found) else 0


@dataclass(frozen=True)
class _Unknown:
    """A model of which it cannot be told here: a request to delete must not take it for one that never saw the document."""

    model_id: str
    source: str
    findings: tuple[Finding, ...]


def _answers(project: Project, source: str, document: str) -> Iterator[tuple[TracedModel, Use] | _Unknown]:
    from mtac_assets.data.mix.trace import find
    from mtac_assets.data.mix.traced_model import language_models, recipe_of, traced

    for model_id in language_models(project):
        fields = recipe_of(project, model_id).fields
        names = [name for name, entry in fields["mix"]["sources"].items() if source in (name, entry["dataset"])]
        if not names:
            continue
        try:
            model = traced(project, model_id)
        except MtacError as error:
            yield from (_Unknown(model_id, name, error.findings) for name in names)
            continue
        for name in names:
            use = find(model.folder, name, document, tuple(fields["tokenizer"]["trained_on"]))
            if use is not None:
                yield model, use


def _document(answer: tuple[TracedModel, Use] | _Unknown) -> dict[str, Any]:
    from mtac_assets.data.mix.trace import steps_with

    if isinstance(answer, _Unknown):
        said = [finding.document() for finding in answer.findings]
        return {"model_id": answer.model_id, "source": answer.source, "unknown": said}
    model, use = answer
    return {
        "model_id": model.model_id,
        "source": use.source,
        "part": use.part,
        "sequences": len(use.rows),
        "tokenizer": use.tokenizer,
        "steps": output.Streamed(steps_with(model.folder, model.seed, use)),
    }


def _print(entry: dict[str, Any]) -> None:
    out = output.console()
    if "unknown" in entry:
        out.print(f"[bold]{entry['model_id']}[/]  {entry['source']}  [bold red]unknown[/]:", end=" ", soft_wrap=True)
        for said in entry["unknown"]:
            out.print(f"{said['error']}\n  remedy: {said['remedy']}", soft_wrap=True, markup=False)
        return
    named: list[str] = []
    count = 0
    for step in entry["steps"]:
        if count < NAMED:
            named.append(f"{step:,}")
        count += 1
    steps = ", ".join(named) + (f" and {count - NAMED:,} more" if count > NAMED else "")
    learnt = "; its tokeniser learnt from it" if entry["tokenizer"] else ""
    told = {
        "train": f"in {count:,} steps: {steps}" if count else "to train on, and no step came to it",
        "validate": "held out to validate on; no step saw it",
        "test": "held out to evaluate on; no step saw it",
        "left out": "left out by a filter; no step saw it",
    }[entry["part"]]
    out.print(f"[bold]{entry['model_id']}[/]  {entry['source']}  {told}{learnt}", soft_wrap=True)
