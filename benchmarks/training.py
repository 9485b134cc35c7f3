"""The trainer against a bare loop: same network, same batches, no checkpoints, no records, no determinism; and what each part costs.

Two processes take turns, because threads and instruction sets are fixed when torch is loaded: one as the trainer starts itself, one
as torch comes. Each turn trains the flights network for STEPS steps on made-up rows of the flights' shape. Ratios are medians over
turns, so that a busy machine spoils both sides alike.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
STEPS = 264  # two checkpoints of the recipe's
ROUNDS = 4
ROWS = 44_000
AS_OF = "2013-07-01"


def measure() -> list[Figure]:
    """Throughput in the system, and the cost of checkpoints and of determinism."""
    from datetime import date

    from mtac_assets.spec.load import load_recipe
    from mtac_assets.spec.project import find_project
    from mtac_assets.training import flags

    recipe = load_recipe(find_project(ROOT), "flight_delays", as_of=date.fromisoformat(AS_OF)).recipe
    as_it_comes = {name: value for name, value in os.environ.items() if name not in flags.variables(recipe.training)}
    with ExitStack() as stack:
        ours = stack.enter_context(Worker("deterministic", {**os.environ, **flags.variables(recipe.training)}))
        plain = stack.enter_context(Worker("plain", as_it_comes))
        turns = [
            {
                "bare": plain.turn("bare"),
                "system": ours.turn("system"),
                "without checkpoints": ours.turn("without checkpoints"),
                "bare, deterministic": ours.turn("bare"),
            }
            for _ in range(ROUNDS + 1)
        ][1:]  # the first one pays for memory and caches

    def ratio(one: str, other: str) -> float:
        return statistics.median(turn[one] / turn[other] for turn in turns)

    steps = f"{STEPS} steps of {recipe.training.batch_size} rows, median of {ROUNDS} turns"
    rate = STEPS * recipe.training.batch_size / statistics.median(turn["system"] for turn in turns)
    every = recipe.training.checkpoint_every_steps
    return [
        Figure("training throughput, system against bare loop", ratio("bare", "system"), at_least=0.97, detail=steps),
        Figure("training throughput", rate, "rows/s", detail=steps),
        Figure(
            "checkpoints, with against without",
            ratio("system", "without checkpoints"),
            at_most=1.02,
            detail=f"one every {every} steps",
        ),
        Figure(
            "determinism, with against without",
            ratio("bare, deterministic", "bare"),
            at_most=1.05,
            detail="bare loop; algorithms, instruction set, seeds",
        ),
    ]


class Worker:
    """A process that trains when told to, and says how long it took."""

    def __init__(self, mode: str, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training", mode],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, what: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(what), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def work(mode: str) -> None:
    """The worker: a line in names a kind of loop, a line out is its seconds."""
    from datetime import date

    import torch

    from mtac_assets.spec.load import load_recipe
    from mtac_assets.spec.project import find_project

    resolved = load_recipe(find_project(ROOT), "flight_delays", as_of=date.fromisoformat(AS_OF))
    recipe = resolved.recipe
    if mode == "deterministic":
        from mtac_assets.training.determinism import establish

        establish(recipe.training)
    else:
        torch.set_num_threads(recipe.training.threads)
    with tempfile.TemporaryDirectory() as temporary:
        loops = _loops(resolved, Path(temporary))
        for line in sys.stdin:
            prepared = loops[json.loads(line)]()
            began = time.perf_counter()
            prepared()
            print(time.perf_counter() - began, flush=True)


def _loops(resolved, folder: Path) -> dict[str, Callable[[], Callable[[], object]]]:
    """By name: what prepares a loop (a fresh network, its batches) and gives the loop itself."""
    import secrets

    import numpy as np
    import torch
    from torch import nn

    from mtac_assets.data.training_set_schema import FeatureSchema
    from mtac_assets.training.batches import Split, rows_of_step
    from mtac_assets.training.checkpoint import History, Identity
    from mtac_assets.training.checkpoint_writer import CheckpointWriter
    from mtac_assets.training.determinism import key_randomness, require_declared
    from mtac_assets.training.loop import fit
    from mtac_assets.training.models.registry import build_model
    from mtac_assets.training.progress import FileSink, Progress
    from mtac_assets.training.schedule import Schedule
    from mtac_assets.training.state import TrainingState
    from mtac_assets.training.tasks.tabular import TabularTask, mean_loss

    recipe = resolved.recipe
    training = recipe.training
    schema = FeatureSchema(
        recipe.features.numeric, recipe.features.categorical, (("a", "b", "c"),) * len(recipe.features.categorical)
    )
    random = np.random.default_rng(1)
    numeric = random.normal(size=(ROWS, len(schema.numeric))).astype(np.float32)
    numeric[random.random(numeric.shape) < 0.02] = np.nan
    categorical = random.integers(0, 4, size=(ROWS, len(schema.categorical)), dtype=np.int32)
    label = (random.random(ROWS) < 0.2).astype(np.float32)
    split = Split(torch.from_numpy(numeric), torch.from_numpy(categorical), torch.from_numpy(label))

    def network() -> nn.Module:
        key_randomness(training.seed, "initialisation")
        model = build_model(recipe.model.kind, recipe.model.settings, schema, folder)
        model.fit_constants(split.numeric, split.categorical, split.label)  # pyright: ignore[reportCallIssue]
        return model

    def bare() -> Callable[[], object]:
        model = network().train()
        batches = [
            torch.from_numpy(rows_of_step(training.seed, ROWS, step, training.batch_size)) for step in range(STEPS)
        ]
        matrices = [p for p in model.parameters() if p.ndim >= 2]
        vectors = [p for p in model.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": training.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, fused=True)
        average = [p.detach().clone() for p in model.parameters()]

        def loop() -> None:
            for index in batches:
                optimizer.zero_grad()
                logits = model(split.numeric[index], split.categorical[index])
                mean_loss(logits, split.label[index], training.label_smoothing).backward()
                if training.gradient_clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
                optimizer.step()
                if training.ema_decay:
                    with torch.no_grad():
                        torch._foreach_lerp_(average, list(model.parameters()), 1 - training.ema_decay)  # pyright: ignore[reportPrivateImportUsage]

        return loop

    def system(checkpoints: bool) -> Callable[[], object]:
        state, history = TrainingState(network(), training), History("0" * 64)
        out = folder / secrets.token_hex(4)
        every = training.checkpoint_every_steps if checkpoints else STEPS + 1
        schedule = Schedule(ROWS, STEPS + 1, training.batch_size, training.micro_batch_size, every)
        task = TabularTask(resolved, schema, split, split, schedule)
        parameter = next(state.model.parameters())

        def loop() -> None:
            identity = Identity("", "", "", "", "", "")
            sink = FileSink(out / "progress.jsonl", 0)
            with Progress(sink) as progress, CheckpointWriter(out / "checkpoints", identity, history) as writer:
                fit(
                    state,
                    task,
                    training,
                    writer,
                    validating=False,
                    until=STEPS,
                    history=history,
                    on_record=progress.record,
                    after_first_step=lambda: require_declared(training, parameter, "after the first step"),
                )

        return loop

    return {"bare": bare, "system": lambda: system(True), "without checkpoints": lambda: system(False)}


if __name__ == "__main__":
    work(sys.argv[1])
