"""One measured figure against its target, and how interleaved timings become a ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`value` in `unit`; `at_most` or `at_least` is the target. `detail` says what was compared and how often."""

    name: str
    value: float
    unit: str = "×"
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target holds; None where there is none."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def document(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "at_most": self.at_most,
            "at_least": self.at_least,
            "met": self.met,
            "detail": self.detail,
        }


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| figure | measured | target | met | how |", "|---|---:|---:|---|---|"]
    for figure in figures:
        target = ""
        if figure.at_most is not None:
            target = f"≤ {figure.at_most:g}"
        elif figure.at_least is not None:
            target = f"≥ {figure.at_least:g}"
        met = {True: "yes", False: "**no**", None: ""}[figure.met]
        lines.append(f"| {figure.name} | {figure.value:.4g} {figure.unit} | {target} | {met} | {figure.detail} |")
    return "\n".join(lines)


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(a: Callable[[], object], b: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Run a, b, a, b, ...: medians of both and the median of the ratios a/b pair by pair."""
    pairs = [(timed(a), timed(b)) for _ in range(rounds)]
    return (
        statistics.median(first for first, _ in pairs),
        statistics.median(second for _, second in pairs),
        statistics.median(first / second for first, second in pairs),
    )


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    """Median wall seconds of several calls, after one that is not counted."""
    work()
    return statistics.median(timed(work) for _ in range(rounds))
