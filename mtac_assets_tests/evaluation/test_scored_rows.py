from __future__ import annotations

import numpy as np
import pytest

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.scored_rows import scored_rows


def test_days_of_any_sortable_type_become_an_index() -> None:
    rows = scored_rows(
        np.array([0, 1, 1]), np.array(["2013-02-01", "2013-01-31", "2013-02-01"]), np.array([0.1, 0.5, 1])
    )
    assert rows.day.tolist() == [1, 0, 1]
    assert rows.day_keys.tolist() == ["2013-01-31", "2013-02-01"]


@pytest.mark.parametrize(
    ("labels", "days", "scores", "said"),
    [
        ([0, 1], [0, 0], [0.5, np.nan], "1 of 2 scores are no probability; row 1 has nan"),
        ([0, 1], [0, 0], [0.5, np.inf], "row 1 has inf"),
        ([0, 1], [0, 0], [-0.01, 0.5], "row 0 has -0.01"),
        ([0, 1], [0, 0], [1.5, 0.5], "row 0 has 1.5"),
        ([0, 1], [0, 0], [0.5], "scores of shape (1,) for 2 rows"),
        ([0.0, np.nan], [0, 0], [0.5, 0.5], "1 labels that are neither 0 nor 1"),
        ([0, 2], [0, 0], [0.5, 0.5], "neither 0 nor 1"),
        ([0, 1], [0], [0.5, 0.5], "(2,) labels and (1,) days"),
        ([], [], [], "(0,) labels"),
    ],
)
def test_unfit_rows_are_an_error_that_says_what_is_unfit(labels: list, days: list, scores: list, said: str) -> None:
    with pytest.raises(EvaluationError) as raised:
        scored_rows(np.array(labels), np.array(days), np.array(scores))
    assert said in raised.value.findings[0].error


def test_a_slice_keeps_the_days_of_the_whole() -> None:
    rows = scored_rows(np.array([0, 1, 1]), np.array([5, 6, 7]), np.array([0.1, 0.5, 1]))
    part = rows.select(np.array([False, True, False]))
    assert (part.rows, part.day_count) == (1, 3)
    assert part.single_class
