from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mtac_assets.spec.recipe import Training
from mtac_assets.training.models import gpt
from mtac_assets.training.optimisation import Optimizer
from mtac_assets.training.tasks.language import next_token_loss
from mtac_assets.training.tensors import digests, weights_digest
from mtac_assets.training.tokens import TokenSchema
from mtac_assets_tests.training.tiny_set import RECIPE

SCHEMA = TokenSchema(vocabulary_size=97, sequence_length=24, end_of_text=0, tokenizer={"digest": "t"})
SMALL = {"layers": 2, "heads": 4, "width": 32}


def network(**settings: object) -> gpt.GPT:
    model = gpt.build(SCHEMA, {**SMALL, **settings})
    model.initialise(1)
    return model


def tokens(rows: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 97, (rows, 25), generator=torch.Generator().manual_seed(seed))


VARIANTS = [
    {},
    {"tied_head": False, "feed_forward": "relu_squared"},
    {"key_value_heads": 2, "qk_norm": False, "dropout": 0.1},
]


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_single_batch_is_learnt_by_heart(settings, optimizer):
    model = network(**settings | {"dropout": 0.0})
    rows = tokens()
    training = Training.model_validate(RECIPE["training"] | {"optimizer": optimizer, "weight_decay": 0.0})
    optimizer = Optimizer(model, training)
    first = float(next_token_loss(model, rows).detach())
    for step in range(150):
        optimizer.placement.before()
        next_token_loss(model, rows).backward()
        optimizer.placement.after()
        optimizer.step(0.01 * (1 - step / 150), optimizer.placement.summed())
    assert float(next_token_loss(model, rows).detach()) < 0.02
    if settings.get("tied_head", True):
        assert first == pytest.approx(math.log(97), abs=0.3)


@pytest.mark.parametrize("settings", VARIANTS)
def test_nothing_looks_ahead(settings):
    model, rows = network(**settings).eval(), tokens()[:, :-1]
    changed = rows.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 97
    with torch.no_grad():
        before, after = model(rows), model(changed)
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


def test_order_matters():
    model, rows = network().eval(), tokens(1)[:, :12]
    with torch.no_grad():
        one, other = model(rows)[0, -1], model(rows[:, [1, 0, *range(2, 12)]])[0, -1]
    assert not torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("settings", VARIANTS)
def test_parameters_are_counted_exactly_without_memory(settings):
    assert gpt.parameter_count(SCHEMA, {**SMALL, **settings}) == sum(
        p.numel() for p in network(**settings).parameters()
    )


def test_the_usual_sizes_are_what_is_known_of_them():
    small = TokenSchema(50304, 1024, 0, {})
    assert gpt.parameter_count(small, {"layers": 12, "heads": 12, "width": 768}) == 123_588_864
    tiny_llama = {"layers": 22, "heads": 32, "width": 2048, "key_value_heads": 4, "hidden": 5632, "tied_head": False}
    assert gpt.parameter_count(TokenSchema(32000, 2048, 0, {}), tiny_llama | {"qk_norm": False}) == 1_100_048_384


def test_a_parameter_is_drawn_under_its_name_alone():
    one, other = (
        digests(dict(network().named_parameters())),
        digests(dict(network(layers=3, tied_head=False).named_parameters())),
    )
    shared = {name for name in one if not name.endswith(("out.weight_OI", "down.weight_OI"))}  # these shrink with depth
    assert all(other[name] == one[name] for name in shared)
    assert len({one[name] for name in shared if "scale" not in name}) == len(
        [name for name in shared if "scale" not in name]
    )


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("settings", VARIANTS)
def test_gradients_are_deterministic_and_torch_says_so(settings, precision):
    torch.set_deterministic_debug_mode("error")
    try:
        found = set()
        for _ in range(2):
            model = network(**settings)
            torch.manual_seed(3)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
                next_token_loss(model, tokens(8)).backward()
            found.add(weights_digest({name: p.grad for name, p in model.named_parameters() if p.grad is not None})[0])
        assert len(found) == 1
    finally:
        torch.set_deterministic_debug_mode("default")


def test_attention_is_the_textbooks():
    """Against the formula, head by head, with grouped keys and values."""
    model = network(key_value_heads=2)
    attention, x = model.blocks[0].attention, torch.randn(2, 24, 32)
    cos, sin = model.cos, model.sin
    each = attention.query_key_value(x).view(2, 24, 8, 8)
    query = gpt.turned(attention.query_norm(each[:, :, :4]), cos, sin)
    key = gpt.turned(attention.key_norm(each[:, :, 4:6]), cos, sin).repeat_interleave(2, dim=2)
    value = each[:, :, 6:].repeat_interleave(2, dim=2)
    scores = torch.einsum("bthe,bshe->bhts", query, key) / 8**0.5
    scores = scores.masked_fill(torch.triu(torch.ones(24, 24, dtype=torch.bool), 1), -torch.inf)
    mixed = torch.einsum("bhts,bshe->bthe", functional.softmax(scores, -1), value).reshape(2, 24, 32)
    torch.testing.assert_close(attention(x, cos, sin), attention.out(mixed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"width": 33}, "multiple of heads"),
        ({"width": 36, "heads": 12}, "even width"),
        ({"key_value_heads": 3}, "divisor of heads"),
        ({"feed_forward": "gelu"}, "swiglu or relu_squared"),
        ({"dropout": 1.0}, "below 1"),
        ({"layers": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_network_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        network(**settings)
