"""The report of a language model as a page and as a small picture. Numbers come from the report's document alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtac_assets.evaluation.charts import source_panel
from mtac_assets.evaluation.language.metrics import TITLES
from mtac_assets.evaluation.page import render, yaml_text
from mtac_assets.evaluation.style import BASELINE_LOOKS, MODEL
from mtac_assets.evaluation.svg_file import Key, svg_file


def language_page(report: Mapping[str, Any]) -> str:
    """Self-contained HTML."""
    return render(
        "language.html",
        report=report,
        titles=TITLES,
        verdict=_verdict(report),
        recipe_text=yaml_text(report["recipe_document"]),
    )


def _verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    own, plain = report["metrics"]["bits_per_byte"], report["baselines"]["unigram"]["bits_per_byte"]
    if report["overlap_rows"]:
        words = f"{report['overlap_rows']:,} test documents are training documents: no figure here can be trusted"
        return {"tone": "bad", "headline": words, "sentence": ""}
    if own["value"] is None:
        return {"tone": "bad", "headline": "No held-out document: nothing was measured", "sentence": own["reason"]}
    sentence = (
        f"On {report['test']['rows']:,} documents that the model had never seen: {own['value']:.3f} bits per byte, "
        f"and {plain['value']:.3f} by the shares of the tokens alone."
    )
    if own["high"] is None or plain["low"] is None:
        return {"tone": "mixed", "headline": "Measured, without an interval", "sentence": sentence}
    if own["high"] < plain["low"]:
        return {"tone": "good", "headline": "It has learned what follows what", "sentence": sentence}
    if plain["high"] is not None and own["low"] is not None and own["low"] > plain["high"]:
        return {"tone": "bad", "headline": "Worse than the shares of the tokens alone", "sentence": sentence}
    return {"tone": "bad", "headline": "Not told apart from the shares of the tokens", "sentence": sentence}


def draw(report: Mapping[str, Any], folder: Path) -> list[str]:
    """`bits_per_byte.svg`: by source, with intervals, beside the baseline. The names of the files: none where nothing was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    own, plain = report["metrics"], report["baselines"]["unigram"]
    names = ["bits_per_byte", *(f"bits_per_byte/{source}" for source in report["sources"])]
    entries = [
        (name.partition("/")[2] or "all documents", own[name], plain[name])
        for name in names
        if own[name]["value"] is not None
    ]
    if not entries:
        return []
    looks = (MODEL, replace(BASELINE_LOOKS["base_rate"], title="shares of the tokens"))
    panel = source_panel("← less is better", entries, *looks)
    legend = [Key.of(look, marked=True) for look in looks]
    (folder / "bits_per_byte.svg").write_bytes(svg_file("Bits per byte", [panel], legend).encode())
    return ["bits_per_byte.svg"]
