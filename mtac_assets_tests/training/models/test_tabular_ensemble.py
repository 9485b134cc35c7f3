from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.training_set_schema import FeatureSchema
from mtac_assets.training.models.tabular_ensemble import Activation, PiecewiseLinear, build, kept, quantiles

SCHEMA = FeatureSchema(("a", "b"), ("k", "l"), (("x", "y"), ("u",)))
NUMERIC = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, float("nan")], [5.0, 1.0]])
CATEGORICAL = torch.tensor([[0, 1], [1, 0], [2, 1], [1, 1]], dtype=torch.int32)
LABEL = torch.tensor([0.0, 1.0, 1.0, 0.0])


def fitted(**values: object):
    torch.manual_seed(0)
    model = build(SCHEMA, {"members": 4, "width": 8, "bins": 4} | values)
    model.fit_constants(NUMERIC, CATEGORICAL, LABEL)
    return model


def test_every_member_answers_for_every_row_and_they_differ():
    logits = fitted().eval()(NUMERIC, CATEGORICAL)
    assert logits.shape == (4, 4)
    assert torch.isfinite(logits).all(), "a missing value and a constant column are no obstacle"
    assert (logits.std(dim=1) > 0).all()


def test_a_row_is_scored_by_itself():
    model = fitted().eval()
    together = model(NUMERIC, CATEGORICAL)
    alone = torch.cat([model(NUMERIC[i : i + 1], CATEGORICAL[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone)


def test_missing_is_not_zero():
    model = fitted().eval()
    zero, missing = torch.tensor([[0.0, 1.0]]), torch.tensor([[float("nan"), 1.0]])
    assert not torch.equal(model(zero, CATEGORICAL[:1]), model(missing, CATEGORICAL[:1]))


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), st.integers(1, 16))
def test_bins_fill_in_order_and_saturate_outside(values, bins):
    layer = PiecewiseLinear(1, bins, 2)
    known = torch.tensor(values)[:, None]
    layer.fit_constants(known)
    points = torch.cat([known, torch.tensor([[-1e9], [1e9]])]).sort(dim=0).values
    filled = ((points[:, :, None] - layer.edges) * layer.inverse_width).clamp(0, 1)[:, 0]
    assert (filled.diff(dim=0) >= 0).all(), "more is never encoded as less"
    assert (filled[0] == 0).all()
    width = layer.inverse_width[0] > 0
    assert (filled[-1][width] == 1).all()
    assert torch.isfinite(layer(points)).all()


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_quantiles_are_numpys(values):
    import numpy as np

    levels = torch.linspace(0, 1, 9, dtype=torch.float64)
    ours = quantiles(torch.tensor(values, dtype=torch.float64), levels)
    np.testing.assert_allclose(ours.numpy(), np.quantile(values, levels.numpy()), rtol=1e-9, atol=1e-6)


def test_a_feature_that_is_always_missing_is_no_obstacle():
    model = build(SCHEMA, {"members": 2, "width": 8})
    model.fit_constants(torch.full((4, 2), float("nan")), CATEGORICAL, LABEL)
    assert torch.isfinite(model.eval()(torch.full((4, 2), float("nan")), CATEGORICAL)).all()


def test_dropout_keeps_the_mean_and_falls_away_in_use():
    torch.manual_seed(0)
    mask = kept(torch.ones(3, 2000, 7), 4, 0.25)
    assert mask.shape == (2000, 4)
    assert mask.mean() == pytest.approx(1.0, abs=0.03)
    assert (mask == 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert kept(mask[None], 4, 0.0) is None
    model = fitted(dropout=0.5).eval()
    assert torch.equal(model(NUMERIC, CATEGORICAL), model(NUMERIC, CATEGORICAL))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_an_activation_has_the_bits_of_torchs_own_operations(members, dropout):
    torch.manual_seed(0)
    given = [torch.randn(members, 50, 8), torch.randn(3, 1, 8), torch.randn(3, 1, 8)]
    mask, weight = kept(given[0], 8, dropout), torch.randn(3, 50, 8)

    def plain(h, scale, bias, mask):
        x = torch.relu(torch.addcmul(bias, h, scale))
        return x if mask is None else x * mask

    found = []
    for way in (plain, Activation.apply):
        leaves = [one.clone().requires_grad_() for one in given]
        out = way(*leaves, mask)
        (out * weight).sum().backward()
        found.append([out.detach(), *(leaf.grad for leaf in leaves)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("wrong", [{"members": 0}, {"dropout": 1.0}, {"bins": -1}])
def test_settings_that_make_no_sense_are_named(wrong):
    with pytest.raises(ValueError, match=rf"model\.settings\.{next(iter(wrong))}"):
        build(SCHEMA, wrong)


def test_a_model_without_numbers_or_without_categories_works():
    for schema in (FeatureSchema(("a", "b"), (), ()), FeatureSchema((), ("k", "l"), (("x", "y"), ("u",)))):
        model = build(schema, {"members": 2, "width": 8})
        numeric, categorical = NUMERIC[:, : len(schema.numeric)], CATEGORICAL[:, : len(schema.categorical)]
        model.fit_constants(numeric, categorical, LABEL)
        assert model(numeric, categorical).shape == (4, 2)
