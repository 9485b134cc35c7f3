"""The verdict at the top of a report, in words, from the report's numbers alone.

It says what was measured. Whether a model may go live is for the gates (promotion), and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtac_assets.evaluation.style import look_of

DECIDING = "log_loss"  # proper: no miscalibrated or reordered score can improve it


@dataclass(frozen=True)
class Verdict:
    """`tone`: good, mixed or bad; `headline` in a sentence; `sentences` with the figures."""

    tone: str
    headline: str
    sentences: tuple[str, ...]


def verdict(report: Mapping[str, Any]) -> Verdict:
    """Better than the strongest baseline, than the champion, or not told apart from them; and what spoils the evidence."""
    spoiled = _spoiled(report)
    rivals = [("baseline", report["slice_reference"], report["baseline_comparisons"].get(report["slice_reference"]))]
    if report["comparison"] is not None:
        rivals.insert(0, ("champion", "champion", report["comparison"]["metrics"]))
    outcomes = [(name, _outcome(metrics[DECIDING])) for _, name, metrics in rivals if metrics is not None]
    if spoiled:
        tone, headline = "bad", spoiled[0]
    elif not outcomes:
        tone, headline = "mixed", "Measured, with nothing to compare it with"
    elif all(outcome == "better" for _, outcome in outcomes):
        tone, headline = "good", f"Better than {_listed(name for name, _ in outcomes)}"
    elif any(outcome == "worse" for _, outcome in outcomes):
        tone, headline = "bad", f"Worse than {_listed(name for name, outcome in outcomes if outcome == 'worse')}"
    else:
        open_ones = _listed(name for name, outcome in outcomes if outcome == "open")
        tone, headline = "mixed", f"Not told apart from {open_ones}"
    sentences = [
        _task(report),
        *(_against(name, metrics) for _, name, metrics in rivals if metrics is not None),
        *spoiled[1:],
    ]
    return Verdict(tone, headline, tuple(sentences))


def _spoiled(report: Mapping[str, Any]) -> list[str]:
    found = []
    if report["overlap_rows"]:
        found.append(f"{report['overlap_rows']:,} test rows are training rows: no figure on this page can be trusted")
    if report["metrics"]["roc_auc"]["value"] is None:
        found.append(f"ROC AUC is undefined: {report['metrics']['roc_auc']['reason']}")
    return found


def _outcome(comparison: Mapping[str, Any]) -> str:
    if comparison["low"] is None or comparison["high"] is None:
        return "open"
    if comparison["low"] > 0:
        return "better"
    return "worse" if comparison["high"] < 0 else "open"


def _task(report: Mapping[str, Any]) -> str:
    auc, loss, test = report["metrics"]["roc_auc"], report["metrics"]["log_loss"], report["test"]
    days = f" of {len(test['days'])} days" if report["as_of"] is not None else ""
    return (
        f"On {test['rows']:,} rows{days} that the model had never seen, ROC AUC is {figure(auc)} and log loss {figure(loss)}; "
        f"{test['positives'] / test['rows']:.1%} of the rows are positive."
    )


def _against(name: str, metrics: Mapping[str, Any]) -> str:
    loss, auc = metrics[DECIDING], metrics["roc_auc"]
    who = _the(name)
    if loss["effect"] is None or loss["low"] is None:
        return f"Against {who}: {loss['reason']}."
    less = "lower" if loss["effect"] >= 0 else "higher"
    words = (
        f"Against {who}, log loss is {abs(loss['effect']):.4f} {less} "
        f"({loss['confidence']:.0%} interval of the gain {signed(loss['low'])} to {signed(loss['high'])}"
    )
    words += f", p = {loss['p_value']:.3f})" if loss["p_value"] is not None else ")"
    if auc["effect"] is not None and auc["low"] is not None:
        words += f"; ROC AUC {signed(auc['effect'])} ({signed(auc['low'])} to {signed(auc['high'])})"
    return words + "."


def signed(value: float, digits: int = 4) -> str:
    """`+0.0123` or `−0.0123`, with a minus sign as wide as the plus."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def figure(metric: Mapping[str, Any], digits: int = 3) -> str:
    """A metric in a sentence: value and interval."""
    if metric["value"] is None:
        return "undefined"
    if metric["low"] is None or metric["high"] is None:
        return f"{metric['value']:.{digits}f}"
    return f"{metric['value']:.{digits}f} ({metric['low']:.{digits}f} to {metric['high']:.{digits}f})"


def _the(name: str) -> str:
    return f"the {look_of(name).title}" if name in ("champion", "base_rate") else look_of(name).title


def _listed(names: Any) -> str:
    return " and ".join(_the(name) for name in names)
