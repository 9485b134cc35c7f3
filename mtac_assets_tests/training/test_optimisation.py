from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from mtac_assets.spec.recipe import LearningRateSchedule, Training
from mtac_assets.training.optimisation import Average, Optimizer, learning_rate

TRAINING = Training(
    seed=1,
    epochs=1,
    batch_size=32,
    micro_batch_size=32,
    optimizer="adamw",
    learning_rate=0.01,
    weight_decay=0.1,
    precision="float32",
    device="cpu",
    threads=1,
    checkpoint_every_steps=1000,
)


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_it_does_what_torch_does(kind):
    ours, theirs = network(), network()
    own = Optimizer(ours, TRAINING.model_copy(update={"optimizer": kind}))
    matrices = [p for p in theirs.parameters() if p.ndim >= 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    reference = {
        "adamw": lambda: torch.optim.AdamW(groups, lr=0.01, fused=True),
        "adam": lambda: torch.optim.Adam(groups, lr=0.01, fused=True),
        "sgd": lambda: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
    }[kind]()
    x = torch.randn(20, 5)
    for step in range(6):
        for model in (ours, theirs):
            model.zero_grad()
            (model(x) ** 2).mean().backward()
        reference.param_groups[0]["lr"] = reference.param_groups[1]["lr"] = 0.01 / (1 + step)
        own.step(0.01 / (1 + step))
        reference.step()
        pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
        if kind == "sgd":  # torch adds in another order
            assert all(torch.allclose(one, other, rtol=1e-6, atol=1e-7) for one, other in pairs)
        else:
            assert all(torch.equal(one, other) for one, other in pairs), f"step {step}"


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
def test_the_rate_rises_over_the_warmup_and_falls_to_zero(kind):
    schedule = LearningRateSchedule(kind=kind, warmup_share=0.1)
    training = TRAINING.model_copy(update={"schedule": schedule, "learning_rate": 1.0})
    rates = [learning_rate(training, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert max(rates) == 1.0
    if kind == "constant":
        assert set(rates[10:]) == {1.0}
    else:
        assert rates[10:] == sorted(rates[10:], reverse=True)
        assert 0 < rates[-1] < 0.02


def test_the_average_follows_the_weights():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = Average(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(1.0)
    seen = []
    for step in range(20):
        average.update(step)
        seen.append(float(average.tensors["weight"]))
    assert seen[0] == pytest.approx(0.9)  # the first decay is 1/10
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0, abs=1e-5)


def test_the_trainer_does_not_load_the_compiler(root):
    code = (
        "import sys, torch; from torch import nn; import mtac_assets.training.run, mtac_assets.training.loop;"
        "from mtac_assets.training.determinism import establish; from mtac_assets.training.optimisation import Optimizer;"
        "from mtac_assets_tests.training.test_optimisation import TRAINING; establish(TRAINING);"
        "m = nn.Linear(2, 1); o = Optimizer(m, TRAINING); m(torch.ones(1, 2)).sum().backward(); o.step(0.1);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
