"""Which tensors of two states differ, and by how much: any bit counts."""

from __future__ import annotations

import numpy as np

from mtac_assets.promotion.divergence import NAMED_TENSORS, differences, first_step


def test_the_models_own_tensors_are_named_first_with_the_size_and_place_of_the_largest_difference() -> None:
    old = {"optimizer/a/m": np.zeros(2), "model/b": np.zeros((2, 3)), "model/c": np.ones(1)}
    new = {name: array.copy() for name, array in old.items()}
    new["optimizer/a/m"][0] = 1.0
    new["model/b"][1, 2] = -0.5
    new["model/b"][0, 0] = 0.25
    assert differences(old, new) == [
        {"tensor": "model/b", "elements": 2, "of": 6, "largest": 0.5, "at": [1, 2]},
        {"tensor": "optimizer/a/m", "elements": 1, "of": 2, "largest": 1.0, "at": [0]},
    ]


def test_another_sign_of_zero_is_a_difference_and_the_same_nan_is_none() -> None:
    assert [one["tensor"] for one in differences({"w": np.zeros(1)}, {"w": -np.zeros(1)})] == ["w"]
    assert differences({"w": np.array([np.nan])}, {"w": np.array([np.nan])}) == []


def test_a_missing_tensor_and_another_shape_are_named_by_their_shapes_and_only_the_first_few() -> None:
    assert differences({"a": np.zeros(2)}, {"a": np.zeros(3), "b": np.zeros(1)}) == [
        {"tensor": "a", "shape": [[2], [3]]},
        {"tensor": "b", "shape": [None, [1]]},
    ]
    many = {f"t{number}": np.zeros(1) for number in range(2 * NAMED_TENSORS)}
    assert len(differences(many, {name: array + 1 for name, array in many.items()})) == NAMED_TENSORS


def test_the_first_step_whose_loss_differs() -> None:
    assert first_step([0.5, 0.25, 0.125], [0.5, 0.25, 0.126]) == 3
    assert first_step([0.5], [0.5]) is None
