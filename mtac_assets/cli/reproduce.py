"""`mtac reproduce`: rebuild a model from its commit alone, and say whether every bit came out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import By, ModelId, Reason, person
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import EXIT_CHECK_FAILED

if TYPE_CHECKING:
    from mtac_assets.promotion.reproduce import Reproduction

WORDS = {
    "identical": "[bold green]identical[/]  every bit came out the same",
    "different": "[bold red]different[/]",
    "impossible": "[bold red]impossible[/]",
}


@app.command()
def reproduce(
    model_id: ModelId,
    segments: Annotated[
        str, typer.Option(help="`whole`: one training; `all`: each segment from its checkpoint; N: N at random.")
    ] = "whole",
    workers: Annotated[int, typer.Option(min=1, help="Segments replayed at a time.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed that chooses the segments; recorded.")] = None,
    allow_environment: Annotated[
        bool, typer.Option("--allow-environment", help="Rebuild although the environment differs; recorded.")
    ] = False,
    install: Annotated[
        bool, typer.Option("--install", help="Rebuild in a virtual environment made from the model's own lock.")
    ] = False,
    by: By = None,
    reason: Reason = "",
    json: Json = False,
) -> int:
    """Train a model a second time from its commit alone, and compare the weights. The verdict goes into the ledger."""
    from mtac_assets.promotion.reproduce import Request, parse_segments, reproduce
    from mtac_assets.spec.project import find_project

    request = Request(parse_segments(segments), workers, seed, allow_environment, install)
    done = reproduce(find_project(), model_id, request, actor=person(by), reason=reason, echo=output.note)
    if json:
        output.emit(done.document())
    else:
        print_reproduction(done)
    return 0 if done.verdict == "identical" else EXIT_CHECK_FAILED


def print_reproduction(done: Reproduction) -> None:
    """The verdict first, then what it rests on."""
    from rich.markup import escape

    out = output.console()
    evidence = done.evidence
    out.print(f"{done.model_id}  {WORDS[done.verdict]}")
    out.print(f"  recorded  {evidence['weights']['recorded'][:16]}")
    if evidence["weights"]["rebuilt"]:
        out.print(f"  rebuilt   {evidence['weights']['rebuilt'][:16]}")
    if "segment_numbers" in evidence:
        shown = ", ".join(map(str, evidence["segment_numbers"]))
        out.print(f"  segments  {shown}  [dim](seed {evidence['seed']})[/]")
    for change in evidence["environment_differences"]:
        out.print(f"  [yellow]environment[/]  {escape(change['leaf'])}: {change['old']} → {change['new']}")
    machine = [each for each in evidence["observed_differences"] if not each["leaf"].startswith("cpu.flag.")]
    for change in machine:
        out.print(f"  [dim]machine[/]  {escape(change['leaf'])}: {change['old']} → {change['new']}")
    if flags := len(evidence["observed_differences"]) - len(machine):
        out.print(f"  [dim]machine[/]  {flags} flags of the processor differ")
    for finding in evidence.get("why", []):
        out.print(f"  [red]{escape(finding['error'])}[/]\n    {escape(finding['remedy'])}")
    first = evidence.get("first_difference")
    if first:
        span = f"steps {first['after_step'] + 1} to {first['until_step']}" if "after_step" in first else ""
        step = f"step {first['step']}" if first.get("step") is not None else ""
        out.print(f"  first differs  {step} {span} {escape(first.get('where', ''))}".rstrip())
        for tensor in first.get("tensors", []):
            size = (
                f"  by at most {tensor['largest']:.3g} in {tensor['elements']} of {tensor['of']}"
                if "largest" in tensor
                else ""
            )
            out.print(f"    {escape(tensor['tensor'])}{size}")
    out.print(f"  [dim]{evidence['seconds']:.1f} s, ledger entry {done.entry.sequence}[/]")
