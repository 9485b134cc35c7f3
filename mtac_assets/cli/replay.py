"""`mtac replay`: play a stretch of days through the real definitions, once for each policy, before the automation is switched on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import Recipe, parse_date
from mtac_assets.cli.output import Json


@app.command()
def replay(
    recipe: Recipe,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day that is played.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="The last day that is played.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="NAME",
            help="never, weekly, drift, performance, nightly or recipe; or 'NAME:triggers.FIELD=VALUE;...'. "
            "May be given many times; the first four if left out.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where replay.json and replay.html go.")
    ] = None,
    json: Json = False,
) -> None:
    """Let files land day by day and compare when to retrain: live loss against trainings. Touches nothing of yours."""
    from mtac_assets.orchestration.replay.policies import chosen
    from mtac_assets.orchestration.replay.replay import document_of, play_all, set_stage, write
    from mtac_assets.spec.locate import locate
    from mtac_assets.spec.project import find_project

    begin, end = parse_date(first, "--from"), parse_date(last, "--to")
    policies = chosen(policy or [])
    project = find_project()
    name = locate(project, recipe, project.recipes(), "recipe").parent.name
    stage = set_stage(project, name, begin, end, policies)
    output.note(f"{(end - begin).days + 1} days, {len(policies)} policies; {output.shown_path(stage.folder)}")
    play_all(stage, policies, output.note)
    document = document_of(stage, policies)
    data, page = write(document, out or stage.folder)
    if json:
        output.emit(document | {"report": output.shown_path(page)})
    else:
        print_replay(document)
        output.console().print(f"report   {output.shown_path(page)}", soft_wrap=True)
        output.console().print(f"figures  {output.shown_path(data)}", soft_wrap=True)


def print_replay(document: Mapping[str, Any]) -> None:
    """One line a policy, and what they say together."""
    columns = ["policy", "made", "live", "denied", "alarm", "CPU", "loss", "AUC", "gain"]  # 80 characters
    rows = [_row(policy) for policy in document["policies"]]
    title = f"{document['recipe']}, {document['first']} to {document['last']}"
    output.print_table(title, columns, rows, right=columns[1:])
    output.console().print(document["says"].replace("`", ""), soft_wrap=True)
    for policy in document["policies"]:
        for text in _refused(policy["arrivals"]):
            output.console().print(f"[yellow]{policy['name']}: {text}[/]", soft_wrap=True)


def _row(policy: Mapping[str, Any]) -> Sequence[str]:
    against = policy["against"]["log_loss"] if policy["against"] is not None else None
    gain = "–" if against is None or against["effect"] is None else f"{against['effect']:+.4f}"
    counts = ("trainings_count", "promotions", "refusals", "alarms_count")
    cpu = "unknown" if policy["cpu_seconds"] is None else f"{policy['cpu_seconds']:.0f}"
    live = [output.value_text(policy["live"][metric])[:6] for metric in ("log_loss", "roc_auc")]
    return [policy["name"], *("–" if policy[name] is None else str(policy[name]) for name in counts), cpu, *live, gain]


def _refused(arrivals: Mapping[str, Any]) -> list[str]:
    return [
        f"{dataset}: {key} was refused ({why})"
        for dataset, one in arrivals.items()
        for key, why in one["refused"].items()
    ]
