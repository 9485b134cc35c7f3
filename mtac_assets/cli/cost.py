"""`mtac cost`: what models have used and cost, a line for each recipe, from the models' commits alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json

UNKNOWN = "–"


@app.command()
def cost(
    recipe: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="Only this recipe, model by model.")] = None,
    json: Json = False,
) -> None:
    """Sum up what training and evaluating have used, by recipe; of one recipe, model by model."""
    from mtac_assets.provenance.refs import summaries
    from mtac_assets.provenance.usage import total
    from mtac_assets.spec.project import find_project

    found = [summary for summary in summaries(find_project()) if recipe in (None, summary.recipe)]
    recipes = {
        name: total(summary.cost for summary in found if summary.recipe == name)
        for name in sorted({summary.recipe for summary in found})
    }
    models = {summary.model_id: dict(summary.cost) for summary in found} if recipe is not None else {}
    if json:
        output.emit({"schema_version": 1, "recipes": recipes, "models": models})
        return
    if not found:
        output.console().print(f"no model{f' of {recipe}' if recipe else ''} is recorded yet")
        return
    rows = [[name, "1", *_cells(total([each]))] for name, each in models.items()]
    rows += [[name, str(each["models"]), *_cells(each)] for name, each in recipes.items()]
    heads = ["recipe" if recipe is None else "model", "models", "CPU h", "GPU h", "peak MB", "written MB", "kept MB"]
    output.print_table("", [*heads, "estimate", "a month"], rows)
    for name, each in recipes.items():
        for word, count in (("measured", each["measured"]), ("priced", each["priced"])):
            if count < each["models"]:
                output.console().print(
                    f"[dim]{name}: {each['models'] - count} of {each['models']} models not {word}[/]"
                )


def cost_words(cost: Mapping[str, Any]) -> str:
    """A model's cost in a line."""
    parts = [
        f"{part} {cost[part]['cpu_seconds']:.1f} CPU s"
        + (f", {cost[part]['gpu_seconds']:.1f} GPU s" if cost[part]["gpu_seconds"] else "")
        + f", {cost[part]['peak_memory_bytes'] / 1e6:,.0f} MB at most, {cost[part]['bytes_written'] / 1e6:,.1f} MB written"
        for part in ("training", "evaluation")
        if part in cost
    ]
    parts.append(f"{cost['stored_bytes'] / 1e6:,.1f} MB kept")
    if cost["estimate"] is not None:
        parts.append(f"estimate {_money(cost['estimate'])}")
    if cost["storage_per_month"] is not None:
        parts.append(f"{_money(cost['storage_per_month'])} a month")
    return "; ".join(parts)


def _cells(each: Mapping[str, Any]) -> list[str]:
    if not each["measured"]:
        return [UNKNOWN] * 7
    return [
        f"{each['cpu_seconds'] / 3600:.3f}",
        f"{each['gpu_seconds'] / 3600:.3f}",
        *(f"{each[name] / 1e6:,.1f}" for name in ("peak_memory_bytes", "bytes_written", "stored_bytes")),
        _money(each["estimate"]),
        _money(each["storage_per_month"]),
    ]


def _money(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.4f}"
