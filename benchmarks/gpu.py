"""`make bench-gpu`: GPT-2 124M on one GPU through the trainer's own step. Without a GPU it says so and measures nothing.

Utilisation counts 6 N + 12 L d T operations a token against the device's peak in bfloat16. The cost of determinism is the same loop
as torch comes, with no flag and no variable of determinism set; digests are those of two whole runs. The preflight's estimate of
memory is for the same recipe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PEAK = 989.5e12  # H200 and H100, dense bfloat16
SETTINGS = {"layers": 12, "heads": 12, "width": 768}
LENGTH, VOCABULARY, MICRO, BATCH = 1024, 50304, 32, 128
WARM, STEPS = 8, 20


def measure() -> list[Figure]:
    import torch

    if not torch.cuda.is_available():
        print("skipped: there is no CUDA device here; run `make bench-gpu` on a machine with one", file=sys.stderr)
        return []
    compiled = os.environ.get("MTAC_BENCH_COMPILE", "1") == "1"
    runs = {name: _run(name, compiled) for name in ("deterministic", "again", "free")}
    eager = _run("memory", False)
    own, detail = runs["deterministic"], f"GPT-2 124M, {BATCH} x {LENGTH} tokens, {'compiled' if compiled else 'eager'}"
    return [
        Figure("GPU throughput", own["tokens_per_second"], "tokens/s", detail=detail),
        Figure(
            "GPU utilisation", own["utilisation"], "share", at_least=0.45, detail=f"{detail}, of {PEAK / 1e12} TFLOP/s"
        ),
        Figure(
            "GPU determinism, with against without",
            own["seconds"] / runs["free"]["seconds"],
            at_most=1.05,
            detail=detail,
        ),
        Figure("GPU digests of two runs equal", float(own["digest"] == runs["again"]["digest"]), "", at_least=1.0),
        Figure("GPU peak memory", own["peak_bytes"] / 2**30, "GiB", detail=detail),
        Figure(
            "GPU memory, estimated before against measured peak",
            eager["estimated_bytes"] / eager["peak_bytes"],
            at_least=0.85,
            at_most=1.15,
            detail=f"the preflight's estimate against max_memory_allocated ({eager['peak_bytes'] / 2**30:.1f} GiB) of two steps, not compiled",
        ),
    ]


def _run(way: str, compiled: bool) -> dict[str, Any]:
    """One process. `free`: nothing that `establish` or the launcher sets for the sake of equal bits."""
    environment = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    if way != "free":
        environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    arguments = [sys.executable, "-m", "benchmarks.gpu", way, str(int(compiled))]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def work(way: str, compiled: bool) -> None:
    import torch

    from mtac_assets.spec.language import LanguageTraining
    from mtac_assets.training.determinism import establish
    from mtac_assets.training.loop import train_step
    from mtac_assets.training.models import gpt
    from mtac_assets.training.preflight.memory import estimate
    from mtac_assets.training.schedule import Schedule
    from mtac_assets.training.state import TrainingState
    from mtac_assets.training.tasks.language import next_token_loss
    from mtac_assets.training.tensors import weights_digest
    from mtac_assets.training.tokens import TokenSchema

    training = LanguageTraining(
        seed=1, batch_size=BATCH, micro_batch_size=MICRO, optimizer="adamw", learning_rate=6e-4, weight_decay=0.1,
        gradient_clip=1.0, precision="bfloat16", device="cuda", threads=4, compile=compiled,
        checkpoint_every_steps=1000,
    )  # fmt: skip
    if way == "free":
        torch.set_num_threads(training.threads)
    else:
        establish(training)
    schema = TokenSchema(VOCABULARY, LENGTH, 0, {})
    model = gpt.build(schema, dict(SETTINGS))
    model.initialise(1)
    model = model.to("cuda").train()
    if compiled:
        model.compile()
    state = TrainingState(model, training)

    class Task:
        schedule = Schedule.of(training, None, WARM + STEPS)

        def micro_batches(self, step: int, first: int, count: int) -> list[tuple[torch.Tensor, ...]]:
            generator = torch.Generator().manual_seed(step)
            rows = torch.randint(0, VOCABULARY, (BATCH, LENGTH + 1), generator=generator)
            return [(part,) for part in rows[first * MICRO : (first + count) * MICRO].split(MICRO)]

        def loss(self, model: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
            return next_token_loss(model, batch[0])

    task = Task()
    warm, steps = (1, 1) if way == "memory" else (WARM, STEPS)
    for step in range(warm):
        train_step(state, task, training, step)  # type: ignore[arg-type]
    torch.cuda.synchronize()
    began = time.perf_counter()
    for step in range(warm, warm + steps):
        train_step(state, task, training, step)  # type: ignore[arg-type]
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    rate = steps * BATCH * LENGTH / seconds
    count = sum(parameter.numel() for parameter in model.parameters())
    flops = gpt.flops_per_token(count, gpt.Settings(**SETTINGS), LENGTH)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "tokens_per_second": rate,
                "utilisation": rate * flops / PEAK,
                "digest": weights_digest(state.weights())[0],
                "peak_bytes": torch.cuda.max_memory_allocated(),
                "estimated_bytes": estimate(schema, SETTINGS, training, 1).peak,
            }
        )
    )


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2] == "1")
