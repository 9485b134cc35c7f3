"""Two models side by side: metrics, curves and slices of two report documents, and what differs in where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtac_assets.evaluation import charts
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.page import render

ORIGIN = ("recipe", "as_of", "fingerprint", "weights_digest", "code_commit")


def compare_report(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    *,
    comparisons: Mapping[str, Mapping[str, Any]] | None = None,
    difference: Mapping[str, Any] | None = None,
) -> str:
    """The page for reports `a` and `b`. `comparisons`: metric to the paired comparison of a with b (a better: positive),
    where both were tested on the same rows; without it the page says that their intervals stand side by side, unpaired.
    `difference`: what `mtac diff` says of recipe, data, code and environment, shown below the metrics.
    """
    return render(
        "compare.html",
        a=a,
        b=b,
        same_rows=a["test"]["digest"] == b["test"]["digest"],
        comparisons=comparisons,
        difference=difference,
        tone=_tone(comparisons),
        panels=[_panel(a, b, metric) for metric in METRICS],
        calibration=charts.calibration_chart([("a", a["calibration"]["model"]), ("b", b["calibration"]["model"])]),
        roc=_ranking(a, b, "roc"),
        pr=_ranking(a, b, "pr"),
        slices=_slices(a, b),
        origin=_origin(a, b),
    )


def _tone(comparisons: Mapping[str, Mapping[str, Any]] | None) -> str:
    """The colour of the verdict: green where a is told apart as better, red where as worse, amber where neither is known."""
    if comparisons is None or comparisons["log_loss"]["low"] is None:
        return "mixed"
    return "good" if comparisons["log_loss"]["low"] > 0 else "bad" if comparisons["log_loss"]["high"] < 0 else "mixed"


def _panel(a: Mapping[str, Any], b: Mapping[str, Any], metric: str) -> Any:
    definition = METRICS[metric]
    return charts.metric_panel(
        definition.title, definition.better, [("a", a["metrics"][metric]), ("b", b["metrics"][metric])]
    )


def _ranking(a: Mapping[str, Any], b: Mapping[str, Any], kind: str) -> Any:
    curves = [("a", a["curves"]["model"]), ("b", b["curves"]["model"])]
    drawn = [(name, curve) for name, curve in curves if curve is not None]
    base_rate = a["test"]["positives"] / a["test"]["rows"]
    return charts.ranking_chart(drawn, kind, base_rate) if drawn else ""


def _slices(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Slices by column in the order of a, then those that only b has; None where one has no such slice."""
    found: dict[str, dict[str | None, dict[str, Any]]] = {}
    for side, report in (("a", a), ("b", b)):
        for entry in report["slices"]:
            pair = found.setdefault(entry["column"], {}).setdefault(
                entry["value"], {"value": entry["value"], "a": None, "b": None}
            )
            pair[side] = entry
    return {column: list(pairs.values()) for column, pairs in found.items()}


def _origin(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Everything that says where a model comes from, leaf by leaf; the page marks what differs."""
    rows: list[tuple[str, Any, Any]] = [(name.replace("_", " "), a[name], b[name]) for name in ORIGIN]
    rows += [(f"{part} rows", a[part]["digest"][:12], b[part]["digest"][:12]) for part in ("train", "validate", "test")]
    left, right = (dict(_leaves("", report["recipe_document"])) for report in (a, b))
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name):
            rows.append((f"recipe: {name}", left.get(name), right.get(name)))
    for name in sorted({*a["environment"], *b["environment"]}):
        rows.append((name, a["environment"].get(name), b["environment"].get(name)))
    return rows


def _leaves(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [leaf for key, entry in value.items() for leaf in _leaves(f"{prefix}.{key}" if prefix else key, entry)]
    return [(prefix, value)]
