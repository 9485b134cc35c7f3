from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtac_assets.training.pieces import ALIGNMENT, Layout, cut

SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=12)


def layout_of(sizes: list[int]) -> Layout:
    return Layout([piece for n, size in enumerate(sizes) for piece in cut(f"p{n}", nn.Parameter(torch.randn(size)))])


@settings(max_examples=60)
@given(SIZES, st.integers(0, 4))
def test_every_piece_has_one_owner_whatever_their_number(sizes, level):
    layout, workers = layout_of(sizes), 2**level
    owned = [place for rank in range(workers) for place in layout.owned(rank, workers)]
    assert sorted(owned) == list(range(len(layout.pieces)))


@settings(max_examples=60)
@given(SIZES, st.integers(1, 4))
def test_what_one_gives_its_partner_keeps(sizes, level):
    layout, workers = layout_of(sizes), 2**level
    for rank in range(workers):
        for step, (mine, theirs) in enumerate(layout.halves(rank, workers)):
            assert layout.halves(rank ^ (1 << step), workers)[step] == (theirs, mine)


@settings(max_examples=30)
@given(SIZES)
def test_parameters_live_in_one_buffer_unchanged(sizes):
    layout = layout_of(sizes)
    before = [piece.parameter.detach().clone() for piece in layout.pieces]
    flat = layout.buffer()
    layout.parameters_into(flat)
    for place, (piece, old) in enumerate(zip(layout.pieces, before, strict=True)):
        assert torch.equal(piece.parameter, old)
        layout.view(flat, place).add_(1)
        assert torch.equal(piece.parameter.detach(), old + 1)
        assert layout.offsets[place] % ALIGNMENT == 0


def test_large_parameters_are_shared_out_evenly():
    """A matrix far larger than all the others is cut, so that no worker owns much more than its part."""
    parameters = [nn.Parameter(torch.empty(size, device="meta")) for size in (38_000_000, *[2_000_000] * 40)]
    layout = Layout([piece for n, one in enumerate(parameters) for piece in cut(f"p{n}", one)])
    for workers in (2, 4, 8):
        spans = [layout.owned(rank, workers) for rank in range(workers)]
        sizes = [layout.offsets[span.stop] - layout.offsets[span.start] for span in spans]
        assert max(sizes) < 1.1 * layout.elements / workers
