from __future__ import annotations

import numpy as np
import pytest

from mtac_assets.monitoring.drift.components import family
from mtac_assets.monitoring.drift.reference import Block, build
from mtac_assets.monitoring.drift.rows import Categories, Rows
from mtac_assets.monitoring.drift.sketch import sketch, stack
from mtac_assets.monitoring.drift.windows import expected, history, new_in_history, of_window, stabilised


@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_a_category_is_new_where_no_other_day_has_it(window: int) -> None:
    rng = np.random.default_rng(window)
    days = [rng.integers(0, 60, 12) for _ in range(15)]
    values = tuple(map(str, range(60)))
    reference = build(
        [Block(f"{n:02d}", Rows(categorical={"c": Categories(day, values)})) for n, day in enumerate(days)]
    )
    counted = new_in_history(reference, window)[:, 0]
    for start in range(15 - window + 1):
        inside = np.concatenate(days[start : start + window])
        outside = np.concatenate([*days[:start], *days[start + window :]])
        assert counted[start] == (~np.isin(inside, outside)).sum()


def test_the_shift_is_the_wasserstein_distance(world) -> None:
    from scipy.stats import wasserstein_distance

    days = [np.random.default_rng(n).gamma(3, size=500) for n in range(40)]
    reference = build([Block(f"{n:02d}", Rows({"x": day})) for n, day in enumerate(days)])
    model = expected(reference, 1)
    members = family(reference.layout, model)
    bins, pooled = reference.layout.numeric[0], np.concatenate(days)
    new = np.random.default_rng(99).gamma(4, size=2000)
    counted = stack([sketch(Rows({"x": new}), reference.layout)])
    measured = members.linear(of_window(reference.layout, model, counted, np.array([-1])).linear)[0, 0]
    within = [np.clip(side, bins.edges[0], bins.edges[-1]) for side in (new, pooled)]
    assert measured == pytest.approx(wasserstein_distance(*within) / bins.sigma, rel=0.02)


def test_the_history_is_as_far_from_itself_as_new_days_are(world) -> None:
    """Leave-one-out: residuals over sqrt(1 - leverage) have the variance that a new day's over sqrt(1 + leverage) have."""
    model = expected(world.reference, 1)
    own = history(world.reference, model, 1)
    new = [
        of_window(world.reference.layout, model, stack([sketch(world.day(n), world.reference.layout)]), np.array([-1]))
        for n in range(500, 620)
    ]
    inside = np.mean(own.stable**2 * (1 - own.leverage)[:, None])
    outside = np.mean([one.stable[0] ** 2 / (1 + one.leverage[0]) for one in new])
    assert inside == pytest.approx(outside, rel=0.1)
    inside = np.mean(own.linear**2 / (1 - own.leverage)[:, None])
    outside = np.mean([one.linear[0] ** 2 / (1 + one.leverage[0]) for one in new])
    assert inside == pytest.approx(outside, rel=0.1)


@pytest.mark.parametrize(("size", "rate"), [(100, 0.02), (1000, 0.5), (300, 0.98), (5000, 0.001)])
def test_stabilised_counts_have_about_unit_variance(size: int, rate: float) -> None:
    counts = np.random.default_rng(0).binomial(size, rate, 20_000)
    assert np.var(stabilised(counts, np.array(size))) == pytest.approx(1, abs=0.15)


def test_overlapping_windows_are_sums_of_days(world) -> None:
    model = expected(world.reference, 3)
    own = history(world.reference, model, 3)
    assert len(own.linear) == len(world.reference.keys) - 2
    stacked = world.reference.sketches
    third = type(stacked)(*(getattr(stacked, name)[5:8] for name in stacked.__dataclass_fields__))
    again = of_window(world.reference.layout, model, third, np.full(3, -1))
    np.testing.assert_allclose(own.linear[5], again.linear[0], atol=1e-12)


def test_a_window_of_the_history_is_judged_by_the_days_outside_of_it(world) -> None:
    days = [world.block(n, slot=n % 7) for n in range(60)]
    reference, others = build(days), build([*days[:5], *days[8:]])
    own = history(reference, expected(reference, 3), 3)
    layout = reference.layout
    nulls = [layout.columns.index(column) for column in layout.columns]
    model = expected(others, 3)
    size, missing = 0, np.zeros(len(layout.columns))
    for n in (5, 6, 7):
        at = int(np.searchsorted(model.slots, n % 7))
        missing += 300 * model.missing[at]
        size += 300
    observed = sum(reference.sketches.missing[n] for n in (5, 6, 7)) / size
    first = len(layout.numeric)
    np.testing.assert_allclose(own.shares[5, first : first + len(nulls)], observed - missing / size, atol=1e-12)
