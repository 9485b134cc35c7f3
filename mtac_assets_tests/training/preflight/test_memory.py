"""What is estimated from fake tensors against what a real step of the trainer really holds."""

from __future__ import annotations

import copy

import pytest
import torch

from mtac_assets.spec.language import LanguageRecipe
from mtac_assets.training.loop import train_step
from mtac_assets.training.models import gpt
from mtac_assets.training.preflight.memory import dry_run, estimate, tracked
from mtac_assets.training.schedule import Schedule
from mtac_assets.training.state import TrainingState
from mtac_assets.training.tasks.language import next_token_loss
from mtac_assets.training.tokens import TokenSchema
from mtac_assets_tests.training.tiny_tokens import LANGUAGE_RECIPE

SIZES = [
    (256, 32, {"layers": 3, "heads": 2, "width": 32}),
    (1024, 64, {"layers": 5, "heads": 4, "width": 64, "dropout": 0.1, "feed_forward": "relu_squared"}),
    (512, 48, {"layers": 8, "heads": 4, "width": 96, "key_value_heads": 2, "tied_head": False}),
]

GPU_SIZES = [
    (8192, 512, {"layers": 4, "heads": 4, "width": 256}),
    (32_768, 1024, {"layers": 6, "heads": 8, "width": 512, "dropout": 0.1}),
    (50_304, 1024, {"layers": 12, "heads": 12, "width": 768}),
]


def training_of(**settings: object):
    document = copy.deepcopy(LANGUAGE_RECIPE)
    document["training"] |= {"batch_size": 16, "micro_batch_size": 4, **settings}
    return LanguageRecipe.model_validate(document, strict=False).training


class RandomTokens:
    """A task of random tokens: what a step holds does not depend on them."""

    def __init__(self, schema: TokenSchema, training) -> None:
        self.schema, self.schedule = schema, Schedule.of(training, None, 10)

    def micro_batches(self, step: int, first: int, count: int) -> list[tuple[torch.Tensor, ...]]:
        shape = (self.schedule.micro_batch_size, self.schema.sequence_length + 1)
        return [(torch.randint(0, self.schema.vocabulary_size, shape),) for _ in range(count)]

    def loss(self, model: torch.nn.Module, micro_batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return next_token_loss(model, micro_batch[0])


def steps(schema: TokenSchema, settings: dict, training, before=lambda: None) -> None:
    """Two steps of the trainer; `before` is called once the model is there."""
    model = gpt.build(schema, settings)
    model.initialise(1)
    state = TrainingState(model.to(training.device), training)
    task = RandomTokens(schema, training)
    before()
    for step in range(2):
        train_step(state, task, training, step)  # type: ignore[arg-type]


def measured(schema: TokenSchema, settings: dict, training) -> int:
    """Peak bytes of tensors of the trainer's own step on the CPU."""
    with tracked() as tracker:

        def forget() -> None:
            tracker.peak = tracker.live

        steps(schema, settings, training, forget)
    return tracker.peak


@pytest.mark.parametrize(
    ("size", "way"),
    [
        (SIZES[0], {}),
        (SIZES[1], {}),
        (SIZES[2], {}),
        (SIZES[0], {"precision": "float32", "micro_batch_size": 16, "ema_decay": None}),
        (SIZES[0], {"optimizer": "sgd"}),
    ],
)
def test_the_estimate_is_within_15_percent_of_what_a_step_holds(size, way):
    vocabulary, length, settings = size
    schema, training = TokenSchema(vocabulary, length, 0, {}), training_of(**way)
    found, expected = estimate(schema, settings, training, 1).peak, measured(schema, settings, training)
    assert abs(found / expected - 1) < 0.15, f"{found:,} estimated, {expected:,} measured"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("size", GPU_SIZES)
def test_the_estimate_is_within_15_percent_of_what_a_gpu_allocates(size):
    """The allocator's own count. Networks large enough that its rounding and the libraries' workspaces are small beside them."""
    vocabulary, length, settings = size
    schema = TokenSchema(vocabulary, length, 0, {})
    training = training_of(device="cuda", precision="bfloat16", batch_size=32, micro_batch_size=8)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    steps(schema, settings, training, torch.cuda.reset_peak_memory_stats)
    found, expected = estimate(schema, settings, training, 1).peak, torch.cuda.max_memory_allocated() - before
    assert abs(found / expected - 1) < 0.15, f"{found:,} estimated, {expected:,} allocated"


def test_layers_are_drawn_out_exactly():
    """Two layers say what eight need: the network's layers are alike."""
    schema, training = TokenSchema(512, 48, 0, {}), training_of()
    settings = SIZES[2][2]
    whole, drawn = dry_run(schema, settings, training, 1), estimate(schema, settings, training, 1)
    assert drawn.weights == whole.weights
    assert drawn.peak == pytest.approx(max(whole.learning, whole.updating), rel=0.01)


def test_more_workers_hold_less_of_the_optimiser():
    schema, training = TokenSchema(512, 48, 0, {}), training_of(micro_batch_size=2)
    each = [estimate(schema, SIZES[2][2], training, workers).optimizer for workers in (1, 2, 4)]
    assert each[0] > 1.5 * each[1] > 2 * each[2]
