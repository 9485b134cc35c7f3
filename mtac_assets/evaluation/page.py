"""Pages: from report documents to self-contained HTML, with no script, no link to the outside, and no number made up here.

One template a page under templates/; the charts come from charts.py.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from ruamel.yaml import YAML

from mtac_assets.evaluation import charts
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.plots import model_first, models_of
from mtac_assets.evaluation.style import BASELINE_LOOKS, look_of
from mtac_assets.evaluation.svg import Scale, padded
from mtac_assets.evaluation.verdict import figure, signed, verdict

SLICE_METRICS = ("roc_auc", "log_loss", "calibration_error")
SLICE_CHART_WIDTH = 250


def report_page(report: Mapping[str, Any]) -> str:
    """The page of one model's evaluation."""
    models = models_of(report)
    curves = model_first(report["curves"])
    base_rate = report["test"]["positives"] / report["test"]["rows"]
    return render(
        "report.html",
        report=report,
        verdict=verdict(report),
        models=models,
        panels=[_panel(name, models) for name in METRICS],
        calibration=charts.calibration_chart(model_first(report["calibration"])),
        roc=charts.ranking_chart(curves, "roc", base_rate) if curves else "",
        pr=charts.ranking_chart(curves, "pr", base_rate) if curves else "",
        by_day=charts.day_chart(report["by_day"], report["slice_reference"]) if report["by_day"] else "",
        slice_groups=_slice_groups(report),
        recipe_text=yaml_text(report["recipe_document"]),
    )


def _panel(metric: str, models: Mapping[str, Mapping[str, Any]]) -> Any:
    definition = METRICS[metric]
    return charts.metric_panel(definition.title, definition.better, [(name, m[metric]) for name, m in models.items()])


def _slice_groups(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Slices by column, each with its interval drawn on one scale for all; small slices do not stretch the scale."""
    slices = report["slices"]
    judged = [entry["metrics"]["roc_auc"] for entry in slices if not entry["small"]]
    bounds = [metric[key] for metric in judged for key in ("value", "low", "high")]
    known = [bound for bound in bounds if bound is not None]
    scale = padded(known, 6, SLICE_CHART_WIDTH) if known else Scale(0, 1, 6, SLICE_CHART_WIDTH)
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in slices:
        reference = entry["reference"]["roc_auc"] if entry.get("reference") else None
        chart = charts.slice_interval(scale, entry["metrics"]["roc_auc"], reference, entry["small"])
        groups.setdefault(entry["column"], []).append({**entry, "chart": chart})
    return [{"column": name, "slices": entries, "axis": charts.slice_axis(scale)} for name, entries in groups.items()]


def yaml_text(document: Mapping[str, Any]) -> str:
    """A resolved recipe as YAML, in the recipe language's own order."""
    writer = YAML()
    writer.default_flow_style = None
    writer.width = 110
    stream = io.StringIO()
    writer.dump(dict(document), stream)
    return stream.getvalue()


def render(template: str, **values: Any) -> str:
    """A template of this floor with `values`; a value that a template asks for and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mtac_assets.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "short": lambda digest: digest[:12],
        "count": lambda n: f"{n:,}",
        "span": span,
        "signed": signed,
    }
    environment.globals |= {
        "METRICS": METRICS,
        "look_of": look_of,
        "SLICE_METRICS": SLICE_METRICS,
        "BASELINES": BASELINE_LOOKS,
    }
    return environment.get_template(template).render(**values)


def span(days: Sequence[str]) -> str:
    """`2013-06-01 to 2013-06-14 (14 days)`."""
    if not days:
        return "none"
    if len(days) == 1:
        return days[0]
    return f"{days[0]} to {days[-1]} ({len(days)} days)"
