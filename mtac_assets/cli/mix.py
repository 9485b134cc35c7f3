"""`mtac mix`: what a language model learns from, as a tree."""

from __future__ import annotations

from typing import Any

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import Overrides, Recipe, resolve
from mtac_assets.cli.output import Json


@app.command()
def mix(recipe: Recipe, overrides: Overrides = None, json: Json = False) -> None:
    """Show the mix of a language model: sources with sizes, shares and filters, tokeniser, stages, near-duplicates."""
    from mtac_assets.data.mix.tree import lines
    from mtac_assets.data.training_set import find_built
    from mtac_assets.spec.errors import Finding, MtacError

    project, resolved = resolve(recipe, None, overrides)
    if not resolved.is_language:
        finding = Finding(
            f"{resolved.name} learns from rows", resolved.folder_name, "a recipe with a `mix`", "name another"
        )
        raise MtacError(finding)
    found = find_built(project, resolved)
    if found is None:
        finding = Finding("its mix is not built yet", resolved.name, "a training set", f"mtac run {resolved.name}")
        raise MtacError(finding)
    shown: dict[str, Any] = {name: value for name, value in found.manifest.items() if name != "files"}
    if json:
        output.emit(shown)
        return
    for line in lines(shown):
        output.console().print(line, soft_wrap=True, markup=False, highlight=False)
