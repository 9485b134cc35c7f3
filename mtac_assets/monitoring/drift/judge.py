"""Does a window differ from the reference, by more than its history lets one expect and by enough to matter?

One threshold for the whole family of statistics keeps the rate of false alarms a window, over all columns, at what the
recipe allows. For `drifted` a component that reaches its effect floor must be beyond the null distribution's (1 - false_alarms)
point, beyond its own farthest window in the history, and beyond the largest component of nearly all windows of the history,
which needs no model. That last lock opens at twice the null's point: one odd day must not blind all columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtac_assets.monitoring.drift.components import Family, family
from mtac_assets.monitoring.drift.evidence import evidence
from mtac_assets.monitoring.drift.null import Null, null
from mtac_assets.monitoring.drift.reference import Block, Reference
from mtac_assets.monitoring.drift.rows import DriftError
from mtac_assets.monitoring.drift.sketch import Sketch, all_pairs, sketch, stack, total
from mtac_assets.monitoring.drift.verdict import DriftVerdict, Driver
from mtac_assets.monitoring.drift.windows import Residuals, expected, history, of_window
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import DRIFT_WINDOWS, DriftTrigger

FEWEST_PRESENT = 20  # values of a column in a window, below which only its nulls are judged
CEILING = 2.0  # of the null's threshold: what is beyond is told, whatever one odd day of the history did
TWICE = 2.0  # of its farthest window: a column that went that far once only is known by that one day
RANKED = 20  # components that a verdict lists at least, where there are as many


@dataclass(frozen=True, eq=False)
class Counted:
    """A block, counted: what `judge` needs of a day once its rows are gone."""

    key: str
    sketch: Sketch
    slot: int | None = None


def judge(reference: Reference, window: Sequence[Block], trigger: DriftTrigger) -> DriftVerdict:
    """The verdict on the blocks of `window` together. Raises DriftError where their columns are not the reference's."""
    return judge_counted(
        reference, [Counted(block.key, sketch(block.rows, reference.layout), block.slot) for block in window], trigger
    )


def judge_counted(reference: Reference, window: Sequence[Counted], trigger: DriftTrigger) -> DriftVerdict:
    """`judge`, of blocks that `sketch` has counted by the reference's layout."""
    keys = tuple(block.key for block in window)
    if len(window) != trigger.window_days:
        raise DriftError(
            Finding(f"{len(window)} blocks: {', '.join(keys) or 'none'}", "window", f"{trigger.window_days}, as triggers.drift.window_days says", "pass as many blocks")
        )  # fmt: skip
    rows = int(sum(block.sketch.rows for block in window))
    reason = _too_little(reference, window, rows, trigger)
    if reason:
        return DriftVerdict(keys, None, rows, reason)
    model = expected(reference, len(window))
    members = family(reference.layout, model)
    slots = np.array([block.slot for block in window]) if reference.by_calendar else np.full(len(window), -1)
    stacked = stack([block.sketch for block in window])
    new = of_window(reference.layout, model, stacked, slots)
    own = history(reference, model, len(window))
    why_not = _unjudged(members, own, new)
    judged = np.array([not reason for reason in why_not], dtype=bool)
    drawn = null(
        members,
        own,
        new,
        window=len(window),
        parameters=len(model.slots),
        judged=judged,
        resamples=trigger.resamples,
        seed=trigger.seed,
    )
    effects = np.concatenate([members.linear(new.linear), np.abs(new.shares)], axis=1)[0]
    ratios = np.concatenate([members.linear(new.linear), np.abs(new.stable)], axis=1)[0] / drawn.units
    floors = _floors(members, trigger)
    matters = judged & (effects >= floors)
    before = _own_largest(members, own, drawn, judged & ~drawn.once, floors)
    largest = float(ratios[matters].max(initial=0.0))
    by_null = _critical(drawn.largest, trigger.false_alarms)
    threshold = max(by_null, min(_critical_own(before, trigger), CEILING * by_null))
    ratios /= np.maximum(threshold, drawn.farthest * np.where(drawn.once, TWICE, 1.0))
    farthest = float(ratios[matters].max(initial=0.0))
    p_value = (1 + int((drawn.largest >= largest).sum())) / (len(drawn.largest) + 1)
    order = [int(place) for place in np.lexsort((-effects, -ratios)) if judged[place]]
    shown = [place for rank, place in enumerate(order) if rank < RANKED or (matters[place] and ratios[place] > 1)]
    whole = total(stacked)
    return DriftVerdict(
        keys,
        farthest > 1,
        rows,
        None,
        p_value,
        farthest,
        tuple(
            Driver(
                members.components[place],
                float(effects[place]),
                float(floors[place]),
                float(ratios[place]),
                evidence(members.components[place], reference, whole, new, members, model, place),
            )
            for place in shown
        ),
        tuple((members.components[place], reason) for place, reason in enumerate(why_not) if reason),
        _method(reference, drawn, before, largest, trigger),
    )


def _too_little(reference: Reference, window: Sequence[Counted], rows: int, trigger: DriftTrigger) -> str | None:
    if rows < trigger.min_rows:
        return f"{rows} rows, fewer than the {trigger.min_rows} of min_rows"
    fewest = DRIFT_WINDOWS * trigger.window_days
    if len(reference.keys) < fewest:
        return f"a history of {len(reference.keys)} blocks, fewer than {fewest}: {DRIFT_WINDOWS} windows of {trigger.window_days}"
    strange = sorted({str(block.slot) for block in window if block.slot is None or block.slot not in reference.slots})
    if reference.by_calendar and strange:
        return f"no history of the calendar slot {', '.join(strange)}"
    return None


def _unjudged(members: Family, own: Residuals, new: Residuals) -> list[str]:
    """Why a component cannot be judged, or nothing, by component."""
    here, there = members.sizes(new)[0], members.sizes(own)
    reasons = []
    for place, component in enumerate(members.components):
        counts_values = component.kind not in ("missing",)
        if not members.defined[place]:
            reasons.append("constant or empty in the reference")
        elif counts_values and here[place] < FEWEST_PRESENT:
            reasons.append(f"{int(here[place])} values present in the window, fewer than {FEWEST_PRESENT}")
        elif here[place] == 0:
            reasons.append("no rows in the window")
        elif (there[:, place] >= (FEWEST_PRESENT if counts_values else 1)).sum() < min(DRIFT_WINDOWS, len(there)):
            reasons.append(f"present in fewer than {DRIFT_WINDOWS} windows of the history")
        else:
            reasons.append("")
    return reasons


def _floors(members: Family, trigger: DriftTrigger) -> np.ndarray:
    floor = trigger.min_effect
    by_kind = {"shift": floor.shift, "spread": floor.spread, "correlation": floor.correlation}
    return np.array([by_kind.get(component.kind, floor.share) for component in members.components])


def _own_largest(members: Family, own: Residuals, drawn: Null, judged: np.ndarray, floors: np.ndarray) -> np.ndarray:
    """The statistic [W] of each window of the history, judged by the others."""
    without = (1 - own.leverage)[:, None]
    effects = np.concatenate([members.linear(own.linear / without), np.abs(own.shares)], axis=1)
    return np.where(judged & (effects >= floors), drawn.own, 0.0).max(axis=1, initial=0.0)


def _critical(largest: np.ndarray, rate: float) -> float:
    """The smallest value that at most `rate` of null windows exceed, counting the window itself among them."""
    allowed = int(np.floor(rate * (len(largest) + 1)))
    assert allowed >= 1, "the recipe's checks ask for enough resamples"
    return float(np.sort(largest)[-allowed])


def _critical_own(before: np.ndarray, trigger: DriftTrigger) -> float:
    """What nearly all windows of the history stay under: all of them while they are fewer than 2 / false_alarms.

    Were the new window exchangeable with them, it would exceed this with chance (allowed + 1) / (windows + 1), whatever
    the distribution (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, section 2.1).
    """
    allowed = max(int(np.floor(trigger.false_alarms * (len(before) / trigger.window_days + 1))) - 1, 0)
    return float(np.sort(before)[-(allowed + 1)])


def _method(
    reference: Reference, drawn: Null, before: np.ndarray, largest: float, trigger: DriftTrigger
) -> dict[str, Any]:
    return {
        "reference": reference.digest,
        "blocks": [reference.keys[0], reference.keys[-1], len(reference.keys)],
        "calendar": reference.by_calendar,
        "correlations": [len(reference.layout.pairs[0]), len(all_pairs(len(reference.layout.numeric))[0])],
        "windows_of_history": len(before),
        "of_them_as_far": int((before >= largest).sum()),
        "degrees_of_freedom": drawn.freedom,
        "threshold_null": _critical(drawn.largest, trigger.false_alarms),
        "threshold_history": _critical_own(before, trigger),
        "false_alarms": trigger.false_alarms,
        "resamples": trigger.resamples,
        "seed": trigger.seed,
    }
