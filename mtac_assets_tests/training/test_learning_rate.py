from __future__ import annotations

import pytest

from mtac_assets.spec.recipe import Training
from mtac_assets.training.learning_rate import learning_rate
from mtac_assets_tests.training.tiny_set import RECIPE


def rates(**schedule: object) -> list[float]:
    document = RECIPE["training"] | {"schedule": schedule, "learning_rate": 1.0}
    training = Training.model_validate(document)
    return [learning_rate(training, step, 100) for step in range(100)]


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
def test_the_rate_rises_over_the_warmup_and_falls_to_zero(kind):
    found = rates(kind=kind, warmup_share=0.1)
    assert found[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert max(found) == 1.0
    if kind == "constant":
        assert set(found[10:]) == {1.0}
    else:
        assert found[10:] == sorted(found[10:], reverse=True)
        assert 0 < found[-1] < 0.02


def test_a_stable_rate_falls_over_the_last_steps_only():
    found = rates(kind="wsd", warmup_share=0.1, decay_share=0.2)
    assert found[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert set(found[10:80]) == {1.0}
    assert found[80:] == pytest.approx([n / 20 for n in range(20, 0, -1)])
