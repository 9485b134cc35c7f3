from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.training.reduction import TreeSum


def gradients(count: int, seed: int) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(5, generator=generator) * 10.0**scale for scale in (-3, 0, 3)] for _ in range(count)]


def summed(leaves: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    tree = TreeSum()
    for leaf in leaves:
        tree.add([tensor.clone() for tensor in leaf])
    return tree.total()


@settings(max_examples=50)
@given(levels=st.integers(0, 5), cut=st.integers(0, 5), seed=st.integers(0, 2**31))
def test_subtrees_summed_apart_and_then_together_give_the_same_bits(levels, cut, seed):
    """What makes 1, 2, 4 and 8 workers equal: each sums a subtree, and the sums are summed by the same tree."""
    leaves = gradients(2**levels, seed)
    workers = 2 ** min(cut, levels)
    each = len(leaves) // workers
    parts = [summed(leaves[worker * each : (worker + 1) * each]) for worker in range(workers)]
    assert all(torch.equal(one, other) for one, other in zip(summed(leaves), summed(parts), strict=True))


def test_the_sum_is_a_sum():
    leaves = gradients(8, 1)
    expected = [torch.stack([leaf[i] for leaf in leaves]).double().sum(0) for i in range(3)]
    for one, other in zip(summed(leaves), expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))
