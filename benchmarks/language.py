"""Training of a language model: the trainer's step against a bare loop, and the tree of sums between workers against a plain all-reduce.

Each pair is timed in turns within the same processes, so that a busy machine spoils both sides alike; ratios are medians over turns.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
STEPS, ROUNDS = 12, 4
REDUCTIONS = 12
MILLIONS, WORKERS = (10, 100), (2, 4)
SETTINGS = {"layers": 4, "heads": 4, "width": 128}
LENGTH, VOCABULARY, BATCH, MICRO = 128, 4096, 16, 4
BILLION = (
    "model.settings.layers=22", "model.settings.heads=32", "model.settings.width=2048", "model.settings.hidden=5632",
    "model.settings.key_value_heads=4", "model.settings.tied_head=false", "tokenizer.vocabulary_size=32000",
    "mix.tokens=22000000000", "mix.sequence_length=2048", "training.batch_size=512", "training.micro_batch_size=4",
    "training.device=cuda", "training.checkpoint_every_steps=1000",
)  # fmt: skip


def measure() -> list[Figure]:
    turns = [json.loads(line) for line in _child(["step"]).splitlines()]
    ratio = statistics.median(turn["bare"] / turn["system"] for turn in turns)
    rate = STEPS * BATCH * LENGTH / statistics.median(turn["system"] for turn in turns)
    detail = (
        f"{STEPS} steps of {BATCH} x {LENGTH} tokens in micro-batches of {MICRO}, one worker, median of {ROUNDS} turns"
    )
    figures = [
        Figure("language step, system against bare loop", ratio, at_least=0.95, detail=detail),
        Figure("language training throughput", rate, "tokens/s", detail=detail),
    ]
    for workers in WORKERS:
        for millions in MILLIONS:
            found = _reduction(workers, millions)
            cost = statistics.median(turn["tree"] / turn["plain"] for turn in found)
            name = f"tree of sums against all-reduce, {workers} workers, {millions} M parameters"
            figures.append(Figure(name, cost, at_most=1.1, detail=f"gloo on one machine, median of {len(found)} turns"))
    return [*figures, _preflight()]


def _preflight() -> Figure:
    """Of a recipe of a thousand million parameters on eight GPUs, as the asset check makes it: a new process, start to end."""
    from mtac_assets.spec.load import load_recipe
    from mtac_assets.spec.project import find_project

    project = find_project(ROOT)
    resolved = load_recipe(project, "pydocs_lm", BILLION)
    with tempfile.TemporaryDirectory() as folder:
        recipe, out = Path(folder) / "recipe.json", Path(folder) / "results.json"
        recipe.write_text(json.dumps({"schema_version": 1, **resolved.document()}))
        command = [sys.executable, "-m", "mtac_assets.training.preflight", "--recipe", str(recipe), "--out", str(out),
                   "--workers", "8", "--device", "h100"]  # fmt: skip
        seconds: list[float] = []
        spent = _children_cpu()
        for _ in range(ROUNDS):
            began = time.perf_counter()
            subprocess.run(command, cwd=ROOT, check=False)  # what it finds is no part of what it costs
            seconds.append(time.perf_counter() - began)
        spent = (_children_cpu() - spent) / ROUNDS
        found = {one["id"]: one["evidence"] for one in json.loads(out.read_text())["checks"]}
    parameters = found["network.parameters"]["parameters"]
    assert 1e9 < parameters < 1.3e9, parameters
    detail = f"{parameters:,} parameters, {len(found)} checks, a new process with its imports, median of {ROUNDS}; {spent:.1f} s of CPU"
    return Figure(
        "preflight of a thousand million parameters", statistics.median(seconds), "s", at_most=5, detail=detail
    )


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _child(arguments: list[str], **variables: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.language", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def _reduction(workers: int, millions: int) -> list[dict[str, float]]:
    from mtac_assets.training.launchers.local import LOOPBACK, free_port, places

    port = free_port()
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.language", "reduction", str(millions)],
            cwd=ROOT,
            env=places({**os.environ, "OMP_NUM_THREADS": "1"}, rank, workers, LOOPBACK, port),
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(workers)
    ]
    said = [child.communicate()[0] for child in children]
    assert all(child.returncode == 0 for child in children)
    return [json.loads(line) for line in said[0].splitlines()]


def reduction(millions: int) -> None:
    """One worker: the same flat gradient summed both ways, in turns. The first worker prints seconds a line."""
    import torch
    import torch.distributed as distributed
    from torch import nn

    from mtac_assets.training.pieces import Layout, cut
    from mtac_assets.training.reduction import all_gather, reduce_scatter
    from mtac_assets.training.workers import join

    torch.set_num_threads(1)
    workers = join("cpu")
    parameters = [nn.Parameter(torch.empty(100_000, device="meta")) for _ in range(10 * millions)]
    layout = Layout([piece for number, one in enumerate(parameters) for piece in cut(f"p{number}", one)])
    flat = torch.randn(layout.elements)

    def tree() -> None:
        reduce_scatter(flat, layout, workers)
        all_gather(flat, layout, workers)

    ways: dict[str, Callable[[], object]] = {"tree": tree, "plain": lambda: distributed.all_reduce(flat)}
    for turn in range(REDUCTIONS + 1):
        seconds: dict[str, float] = {}
        for name in sorted(ways, reverse=bool(turn % 2)):
            workers.anyone(False)  # begin together
            began = time.perf_counter()
            ways[name]()
            seconds[name] = time.perf_counter() - began
        flat.mul_(1 / workers.count)
        if workers.first and turn:  # the first turn opens connections
            print(json.dumps(seconds), flush=True)
    workers.leave()


def step() -> None:
    """The trainer's loop with checkpoints, progress and tree, and a bare one, in turns."""
    import numpy as np
    import torch

    from mtac_assets.spec.language import LanguageTraining
    from mtac_assets.training.checkpoint import History, Identity
    from mtac_assets.training.checkpoint_writer import CheckpointWriter
    from mtac_assets.training.loop import fit
    from mtac_assets.training.models import gpt
    from mtac_assets.training.progress import FileSink, Progress
    from mtac_assets.training.schedule import Schedule
    from mtac_assets.training.state import TrainingState
    from mtac_assets.training.tasks.language import next_token_loss
    from mtac_assets.training.tokens import TokenSchema

    torch.set_num_threads(1)
    schema = TokenSchema(VOCABULARY, LENGTH, 0, {})
    training = LanguageTraining(
        seed=1, batch_size=BATCH, micro_batch_size=MICRO, optimizer="adamw", learning_rate=1e-3, gradient_clip=1.0,
        precision="float32", device="cpu", threads=1, checkpoint_every_steps=STEPS // 2,
    )  # fmt: skip
    random = np.random.default_rng(1)
    rows = torch.from_numpy(random.integers(0, VOCABULARY, (STEPS, BATCH, LENGTH + 1)))

    class Task:
        schedule = Schedule.of(training, None, STEPS + 1)

        def micro_batches(self, step: int, first: int, count: int) -> list[tuple[torch.Tensor, ...]]:
            return [(part,) for part in rows[step, first * MICRO : (first + count) * MICRO].split(MICRO)]

        def loss(self, model: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
            return next_token_loss(model, batch[0])

    def network() -> gpt.GPT:
        model = gpt.build(schema, dict(SETTINGS))
        model.initialise(1)
        return model.train()

    def bare() -> Callable[[], object]:
        model = network()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

        def loop() -> None:
            for batch in rows:
                optimizer.zero_grad()
                for part in batch.split(MICRO):
                    (next_token_loss(model, part) / (BATCH // MICRO)).backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

        return loop

    def system(out: Path) -> Callable[[], object]:
        state, history = TrainingState(network(), training), History("0" * 64)

        def loop() -> None:
            identity = Identity("", "", "", "", "", "")
            with (
                Progress(FileSink(out / "progress.jsonl", 0)) as progress,
                CheckpointWriter(out / "checkpoints", identity, history) as writer,
            ):
                fit(state, Task(), training, writer, until=STEPS, history=history, validating=False,
                    on_record=progress.record)  # type: ignore[arg-type]  # fmt: skip

        return loop

    for turn in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as temporary:
            loops = {"bare": bare(), "system": system(Path(temporary))}
            seconds: dict[str, float] = {}
            for name in sorted(loops, reverse=bool(turn % 2)):
                began = time.perf_counter()
                loops[name]()
                seconds[name] = time.perf_counter() - began
        if turn:  # the first one pays for memory and caches
            print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "step":
        step()
    else:
        reduction(int(sys.argv[2]))
