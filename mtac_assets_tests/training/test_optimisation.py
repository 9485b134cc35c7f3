from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from mtac_assets.spec.recipe import Training
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.optimisation import Average, Optimizer
from mtac_assets.training.update_rules import orthogonal

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


def moved(optimizer: Optimizer, rate: float) -> None:
    optimizer.placement.after()
    optimizer.step(rate, optimizer.placement.summed())


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
        moved(own, 0.01 / (1 + step))
        reference.step()
        pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
        if kind == "sgd":  # torch adds in another order
            assert all(torch.allclose(one, other, rtol=1e-6, atol=1e-7) for one, other in pairs)
        else:
            assert all(torch.equal(one, other) for one, other in pairs), f"step {step}"


def test_a_matrix_cut_in_pieces_is_moved_as_a_whole_one_would_be(monkeypatch):
    """Also where a piece ends apart from a vector's width, the numbers at a tensor's end are the only remainder."""
    weights = {}
    for elements in (1 << 20, 64):
        monkeypatch.setattr("mtac_assets.training.pieces.ELEMENTS", elements)
        torch.manual_seed(1)
        model = nn.Linear(37, 29)
        own = Optimizer(model, TRAINING)
        assert len(own.pieces) == (2 if elements > 64 else 18)
        for step in range(3):
            own.placement.before()
            (model(torch.full((4, 37), 0.1 * step)) ** 2).mean().backward()
            moved(own, 0.01)
        weights[elements] = {**model.state_dict(), **own.tensors()}
    assert all(torch.equal(weights[64][name], tensor) for name, tensor in weights[1 << 20].items())


def test_muon_moves_matrices_in_all_directions_alike():
    torch.manual_seed(2)
    for shape in ((8, 24), (24, 8)):
        values = torch.linalg.svdvals(
            orthogonal(torch.randn(*shape) @ torch.diag(torch.logspace(0, -2, shape[1])), "float32")
        )
        assert 0.5 < float(values.min()) <= float(values.max()) < 1.3


def test_muon_wants_a_model_that_names_its_matrices():
    with pytest.raises(TrainingRefused, match="names none"):
        Optimizer(network(), TRAINING.model_copy(update={"optimizer": "muon"}))


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
        "from mtac_assets_tests.training.test_optimisation import moved;"
        "m = nn.Linear(2, 1); o = Optimizer(m, TRAINING); m(torch.ones(1, 2)).sum().backward(); moved(o, 0.1);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
