"""Drift: how often it cries wolf on streams that do not drift, how soon it sees those that do, and what a day costs.

Beside the usual rules: as they are usually set for false alarms, and set to the same rate of false alarms for power.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, median_seconds
from benchmarks.streams import CHANGES, KINDS, NUMERIC, days
from benchmarks.usual_rules import UsualRules
from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.reference import build, open_reference, save
from mtac_assets.spec.recipe import DriftFloor, DriftTrigger

HISTORY, RATE, MOST, SLOWER = 84, 0.01, 0.02, 1.0
SIZES = (  # rows of a window, rows of a day of the reference, references, windows of each, of which by usual rules too
    (50, 50, 20, 20, 5),
    (500, 500, 20, 20, 5),
    (5_000, 5_000, 8, 40, 5),
    (100_000, 2_000, 8, 16, 2),
)
NO_FLOOR = DriftFloor(shift=0, spread=0, share=0, correlation=0)
TRIGGER = DriftTrigger(false_alarms=RATE, resamples=1000, min_rows=50)
CALM, DRIFTING, POWER_ROWS = 200, 40, 500


def measure() -> list[Figure]:
    calm = [figure for kind in ("iid", "autocorrelated", "seasonal") for figure in false_alarms(kind)]
    return [*calm, *delays(), speed()]


def false_alarms(kind: str) -> Iterator[Figure]:
    """The rate at which windows without drift are called drift, with no effect floor to hide behind."""
    trigger = TRIGGER.model_copy(update={"min_effect": NO_FLOOR})
    for rows, history_rows, references, windows, usual in SIZES:
        hits = np.zeros((references, windows))
        fired: dict[str, list[bool]] = {name: [] for name in UsualRules.thresholds}
        for number in range(references):
            rng = np.random.default_rng([rows, number])
            history = days(rng, history_rows, HISTORY, kind)
            reference, rules = build(history), UsualRules(history)
            for window in range(windows):
                if rows == history_rows and window % 20 == 0:
                    ahead = days(rng, rows, 20, kind, first=HISTORY + window)
                block = ahead[window % 20] if rows == history_rows else days(rng, rows, 1, kind, HISTORY + window)[0]
                hits[number, window] = bool(judge(reference, [block], trigger).drifted)
                if window < usual:
                    for name, value in rules.statistics(block).items():
                        fired[name].append(value > rules.thresholds[name])
        low, high = interval(hits)
        others = ", ".join(f"{name} {np.mean(values):.0%}" for name, values in fired.items())
        yield Figure(
            f"false alarms, {kind}, windows of {rows:,} rows",
            float(hits.mean()),
            "of windows",
            at_most=MOST,
            detail=f"95 % interval {low:.2%} to {high:.2%}, {references} references of {HISTORY} days of {history_rows:,} rows, {windows} windows each; usual rules: {others}",
        )


def interval(hits: np.ndarray) -> tuple[float, float]:
    """Wilson's interval, with the windows [references, windows] counted for as many as they are worth: windows that share a reference are not independent."""
    windows = hits.shape[1]
    rate = hits.mean()
    plain = rate * (1 - rate) / windows
    worth = hits.size / max(1.0, hits.mean(axis=1).var(ddof=1) / plain if plain else 1.0)
    z = 1.96
    middle = (rate + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * np.sqrt(rate * (1 - rate) / worth + z**2 / (4 * worth**2))
    return max(middle - half, 0.0), middle + half


def delays() -> Iterator[Figure]:
    """Windows until a change in one column is seen, against the best usual rule at the same rate of false alarms."""
    rng = np.random.default_rng(7)
    history = days(rng, POWER_ROWS, HISTORY, "iid")
    reference, rules = build(history), UsualRules(history)
    calm = [rules.statistics(block) for block in days(rng, POWER_ROWS, CALM, "iid")]
    critical = {name: np.quantile([one[name] for one in calm], 1 - RATE) for name in rules.thresholds}
    for name, change in CHANGES.items():
        ours, theirs = [], {rule: [] for rule in rules.thresholds}
        for place, block in enumerate(days(rng, POWER_ROWS, DRIFTING, "iid", first=HISTORY)):
            drifted = type(block)(block.key, change(np.random.default_rng(place), block.rows), block.slot)
            ours.append(bool(judge(reference, [drifted], TRIGGER).drifted))
            for rule, value in rules.statistics(drifted).items():
                theirs[rule].append(value > critical[rule])
        wait = delay(np.mean(ours))
        waits = {rule: delay(np.mean(seen)) for rule, seen in theirs.items()}
        told = ", ".join(f"{rule} {np.mean(seen):.0%}" for rule, seen in theirs.items())
        yield Figure(
            f"windows later than the best usual rule, {name}",
            wait - min(waits.values()),
            "windows",
            at_most=SLOWER,
            detail=f"seen in {np.mean(ours):.0%} of {DRIFTING} windows of {POWER_ROWS} rows, after {wait:.1f} on average; at the same {RATE:.0%} of false alarms: {told}",
        )


def delay(power: float) -> float:
    """Mean windows until the first that is seen; one that never was counts as seen once in twice as many windows."""
    return 1 / max(power, 1 / (2 * DRIFTING))


def speed() -> Figure:
    rng = np.random.default_rng(3)
    (window,) = days(rng, 1_000_000, 1, "iid", first=HISTORY)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.drift"
        save(build(days(rng, 2_000, HISTORY, "iid")), path)
        seconds = median_seconds(lambda: judge(open_reference(path), [window], DriftTrigger()), 3)
    return Figure(
        "drift of a million rows against a stored reference",
        seconds,
        "s",
        at_most=2.0,
        detail=f"{NUMERIC} numeric and {len(KINDS)} categorical columns, {NUMERIC * (NUMERIC - 1) // 2} correlations, 2,000 resamples",
    )
