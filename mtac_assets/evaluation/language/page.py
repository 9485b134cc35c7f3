"""The report of a language model as a page and as a small picture. Numbers come from the report's document alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtac_assets.evaluation.language.metrics import TITLES
from mtac_assets.evaluation.page import render, yaml_text
from mtac_assets.evaluation.style import BASELINE_LOOKS, MODEL


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
    """`bits_per_byte.png`: by source, with intervals, beside the baseline. The names of the files."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    names = ["bits_per_byte", *(f"bits_per_byte/{source}" for source in report["sources"])]
    shown = [name for name in names if report["metrics"][name]["value"] is not None]
    figure = Figure(figsize=(6, 0.6 + 0.5 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots()
    for metrics, look in ((report["metrics"], MODEL), (report["baselines"]["unigram"], BASELINE_LOOKS["base_rate"])):
        for place, name in enumerate(shown):
            metric = metrics[name]
            axes.plot(metric["value"], place, look.marker, color=look.colour)
            if metric["low"] is not None:
                axes.plot([metric["low"], metric["high"]], [place, place], color=look.colour)
    labels = [name.partition("/")[2] or "all documents" for name in shown]
    axes.set_yticks(range(len(shown)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("bits per byte (blue: this model; grey: shares of the tokens)")
    figure.savefig(folder / "bits_per_byte.png", dpi=110)
    return ["bits_per_byte.png"]
