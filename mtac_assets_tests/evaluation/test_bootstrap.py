from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mtac_assets.evaluation.bootstrap import expanded_tails, interval, resample_days


def test_a_seed_fixes_the_resamples_and_another_gives_others() -> None:
    one, same, other = (resample_days(14, resamples=50, seed=seed).counts for seed in (7, 7, 8))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_every_resample_holds_as_many_days_as_there_are() -> None:
    counts = resample_days(14, resamples=500, seed=0).counts
    assert (counts.sum(axis=1) == 14).all()
    # Each count is Binomial(14, 1/14): mean 1, variance 13/14.
    assert counts.mean() == pytest.approx(1)
    assert counts.var() == pytest.approx(13 / 14, rel=0.1)


def test_few_days_are_read_further_out_and_many_at_the_nominal_level() -> None:
    assert expanded_tails(14, 0.95) < expanded_tails(28, 0.95) < 0.025
    assert expanded_tails(100_000, 0.95) == pytest.approx(0.025, abs=1e-4)


def test_the_interval_of_a_mean_is_about_students() -> None:
    """For a mean of normal days the expanded percentile interval is Student's interval, up to resampling noise."""
    days = np.random.default_rng(5).normal(size=10)
    counts = resample_days(10, resamples=40_000, seed=1).counts
    low, high = interval(counts @ days / 10, 10, 0.95)
    half = stats.t.ppf(0.975, 9) * days.std(ddof=1) / np.sqrt(10)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
