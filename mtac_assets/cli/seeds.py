"""`mtac seeds`: what the luck of a seed is worth, and so what a champion gate has to know."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import AsOf, Overrides, Recipe, resolve
from mtac_assets.cli.output import Json
from mtac_assets.cli.run import run_model

if TYPE_CHECKING:
    from mtac_assets.evaluation.seeds import Spread

FIELD = "training.seed"


@app.command()
def seeds(
    recipe: Recipe,
    as_of: AsOf = None,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=2, help="Seeds: the recipe's, and those after it.")
    ] = 5,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Train one recipe with several seeds: how far luck alone moves each metric, which its champion gate has to know."""
    project, first = resolve(recipe, as_of, overrides)
    numbers = range(first.recipe.training.seed, first.recipe.training.seed + count)
    rows: list[dict[str, Any]] = []
    for index, seed in enumerate(numbers):
        output.note(f"[{index + 1}/{count}] seed {seed}")
        _, resolved = resolve(recipe, as_of, [*(overrides or ()), f"{FIELD}={seed}"])
        document = run_model(project, resolved)
        rows.append({"seed": seed} | {key: document[key] for key in ("model_id", "status", "metrics")})

    from mtac_assets.evaluation.seeds import spread

    spreads = [
        spread(metric, [row["metrics"][metric]["value"] for row in rows])
        for metric in rows[0]["metrics"]
        if all(row["metrics"][metric]["value"] is not None for row in rows)
    ]
    gate = first.recipe.gates.champion
    if json:
        output.emit(
            {
                "schema_version": 1,
                "recipe": first.recipe.name,
                "rows": rows,
                "spread": {one.metric: asdict(one) | {"seed_deviation": one.seed_deviation} for one in spreads},
                "gate": None if gate is None else gate.model_dump(),
            }
        )
        return
    output.print_table(
        f"{first.recipe.name}, {count} seeds, the same data and test rows",
        ["metric", "mean", "standard deviation", "95 % interval", "seed_deviation"],
        [
            [
                one.metric.replace("_", " "),
                f"{one.mean:.4f}",
                f"{one.deviation:.5f}",
                f"{one.low:.5f} to {one.high:.5f}",
                f"{one.seed_deviation:g}",
            ]
            for one in spreads
        ],
        right=["mean", "standard deviation", "95 % interval", "seed_deviation"],
    )
    said = [] if gate is None else [_verdict(one, gate.seed_deviation) for one in spreads if one.metric == gate.metric]
    for line in said:
        output.console().print(line, soft_wrap=True)


def _verdict(found: Spread, known: float) -> str:
    """What the recipe's champion gate makes of it."""
    if known >= found.deviation:
        return f"gates.champion knows of {known:g}: luck makes a champion no more often than its alpha says"
    return (
        f"gates.champion knows of {known:g} in {found.metric}: luck makes a champion more often than its alpha says. "
        f"Remedy: seed_deviation: {found.seed_deviation:g}"
    )
