"""The mix as a tree of lines and as a picture: sizes, shares, survivors of each filter, digests. From the manifest alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any
from xml.sax.saxutils import escape

from mtac_assets.data.mix.folder import PARTS

COLOURS = ("#37a", "#c82", "#495", "#a46", "#65a", "#883", "#399", "#754")
WIDTH, BAR, LEFT = 420, 14, 74
_DIGEST = 12


def lines(manifest: Mapping[str, Any]) -> list[str]:
    """The tree, a line each, without colour."""
    tokens, mix = manifest["mix"]["tokens"], manifest["mix"]
    steps = f"{manifest['steps']:,} steps of {manifest['batch_size']} × {manifest['sequence_length']} tokens"
    asked = "" if tokens["planned"] == tokens["requested"] else f" ({tokens['requested']:,} asked for)"
    head = f"{manifest['recipe']}  {tokens['planned']:,} tokens{asked} in {steps}  {manifest['digest'][:_DIGEST]}"
    branches: list[tuple[str, list[str]]] = [
        _source(entry, mix["shares"][entry["name"]]) for entry in manifest["sources"]
    ]
    tokenizer = manifest["tokenizer"]
    branches.append(
        (
            f"tokenizer  {tokenizer['kind']}, {tokenizer['vocabulary_size']:,} tokens  {tokenizer['digest'][:_DIGEST]}",
            [],
        )
    )
    if len(mix["stages"]) > 1:
        stages = [f"from step {stage['from_step']:,}: {_ratios(stage['ratios'])}" for stage in mix["stages"]]
        branches.append(("stages", stages))
    near = manifest["near_duplicates"]
    branches.append(
        (f"near-duplicates  {near['found']} of {near['held_out']} held-out documents ({near['share']:.2%})", [])
    )
    return [head, *_drawn(branches)]


def _source(entry: Mapping[str, Any], share: Mapping[str, Any]) -> tuple[str, list[str]]:
    epochs = share["rows"] / entry["rows"]
    title = (
        f"{entry['name']}  {entry['kind']}  {_percent(share['requested'])} asked, {_percent(share['achieved'])} achieved  "
        f"{share['rows']:,} of {entry['rows']:,} rows ({epochs:.2f} of {entry['max_epochs']} epochs)  "
        f"{entry['tokens']:,} tokens  {entry['digest'][:_DIGEST]}"
    )
    selection = entry["selection"]
    inner = [f"{entry['dataset']}: {selection['documents_read']:,} documents"]
    inner += [f"{one['filter']}: {one['kept']:,} kept, {one['left_out']:,} left out" for one in selection["filters"]]
    inner.append(", ".join(f"{part} {selection['documents'][part]:,}" for part in PARTS))
    return title, inner


def _drawn(branches: list[tuple[str, list[str]]]) -> Iterator[str]:
    for place, (title, inner) in enumerate(branches):
        last = place == len(branches) - 1
        yield f"{'└' if last else '├'}─ {title}"
        for number, line in enumerate(inner):
            yield f"{' ' if last else '│'}  {'└' if number == len(inner) - 1 else '├'}─ {line}"


def _percent(ratio: str) -> str:
    return f"{float(Fraction(ratio)):.2%}"


def _ratios(ratios: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {ratio}" for name, ratio in ratios.items())


def picture(manifest: Mapping[str, Any]) -> str:
    """An SVG: a bar of shares for each stage, and the sources with their achieved shares. Frugal, because Dagster shows
    Markdown of fewer than 1,000 characters where it stands and hides longer ones behind a link."""
    stages = manifest["mix"]["stages"]
    names = [entry["name"] for entry in manifest["sources"]]
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    height = (len(stages) + len(names)) * (BAR + 6) + 8
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-size="10">']
    y = 4
    for stage in stages:
        parts.append(f'<text y="{y + 11}" fill="#777">step {stage["from_step"]}</text>')
        begin = Fraction(LEFT)
        for name, ratio in stage["ratios"].items():
            width = Fraction(ratio) * (WIDTH - LEFT)
            if width:
                shape = f"M{round(begin)} {y}h{round(width)}v{BAR}H{round(begin)}"
                parts.append(f'<path fill="{colours[name]}" d="{shape}"/>')
            begin += width
        y += BAR + 6
    for name in names:
        share = manifest["mix"]["shares"][name]
        words = escape(f"{name} {_percent(share['achieved'])}, {share['rows']:,} rows")
        parts.append(f'<text x="{LEFT}" y="{y + 11}" fill="{colours[name]}">{words}</text>')
        y += BAR + 6
    return "".join([*parts, "</svg>"])
