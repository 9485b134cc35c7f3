from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mtac_assets.evaluation.baselines import BASELINES, Rows, fit_and_score
from mtac_assets.evaluation.errors import EvaluationError


@pytest.fixture(scope="module")
def sets(world: Any) -> tuple[Rows, np.ndarray, Rows, np.ndarray]:
    train, labels, _ = world.rows(20, 100, seed=1)
    test, truth, _ = world.rows(10, 100, seed=2)
    return train, labels, test, truth


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_seed_decides_the_scores(name: str, sets: Any) -> None:
    train, labels, test, _ = sets
    assert np.array_equal(fit_and_score(name, train, labels, test, 5), fit_and_score(name, train, labels, test, 5))


def test_the_base_rate_is_that_of_the_training_rows(sets: Any) -> None:
    train, labels, test, _ = sets
    assert set(fit_and_score("base_rate", train, labels, test, 0)) == {labels.mean(dtype=np.float64)}


@pytest.mark.parametrize("name", ["logistic_regression", "hist_gradient_boosting"])
def test_learning_baselines_learn(name: str, sets: Any) -> None:
    train, labels, test, truth = sets
    assert roc_auc_score(truth, fit_and_score(name, train, labels, test, 0)) > 0.6


def test_many_categories_are_taken_as_numbers_where_native_splits_cannot(sets: Any) -> None:
    train, labels, test, truth = sets
    codes = np.arange(len(labels)) % 400
    wide = Rows(train.numeric, np.stack([train.categorical[:, 0], codes], axis=1).astype(np.int32), (7, 400))
    unseen = Rows(
        test.numeric, np.stack([test.categorical[:, 0], np.zeros(len(truth))], axis=1).astype(np.int32), (7, 400)
    )
    for name in ("logistic_regression", "hist_gradient_boosting"):
        assert roc_auc_score(truth, fit_and_score(name, wide, labels, unseen, 0)) > 0.6


def test_a_column_without_any_number_and_a_value_never_seen_do_no_harm(sets: Any) -> None:
    train, labels, test, _ = sets
    empty = Rows(np.full_like(train.numeric, np.nan), np.clip(train.categorical, 1, 3), (7, 7))
    other = Rows(test.numeric, np.full_like(test.categorical, 6), (7, 7))
    for name in ("logistic_regression", "hist_gradient_boosting"):
        scores = fit_and_score(name, empty, labels, other, 0)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_one_class_cannot_be_learned(sets: Any) -> None:
    train, labels, test, _ = sets
    with pytest.raises(EvaluationError, match="one label"):
        fit_and_score("logistic_regression", train, np.zeros_like(labels), test, 0)
