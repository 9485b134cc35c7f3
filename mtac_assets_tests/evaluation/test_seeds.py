from __future__ import annotations

import numpy as np
import pytest

from mtac_assets.evaluation.seeds import spread


def test_the_interval_of_a_deviation_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    held = [
        found.low <= 0.3 <= found.high
        for found in (spread("log_loss", tuple(rng.normal(1, 0.3, 5))) for _ in range(1000))
    ]
    assert 0.93 <= np.mean(held) <= 0.97


def test_what_a_gate_must_know_is_the_deviation_rounded_up() -> None:
    found = spread("log_loss", (0.5, 0.5018, 0.4991))
    assert found.deviation == pytest.approx(np.std([0.5, 0.5018, 0.4991], ddof=1))
    assert found.deviation <= found.seed_deviation < found.deviation * 1.1
    assert spread("log_loss", (0.5, 0.5)).seed_deviation == 0.0


@pytest.mark.parametrize("values", [(0.5,), (0.5, float("nan"))])
def test_too_few_values_and_no_numbers_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="log_loss"):
        spread("log_loss", values)
