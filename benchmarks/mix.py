"""The mix: what drawing a place costs, that nothing grows with the number of places, and packing against the library's own encoding."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, interleaved, median_seconds, timed

BATCH = 65_536
SOURCE_TOKENS = 2_000_000  # of each of three sources of the written set
VOCABULARY = 4096


def measure() -> list[Figure]:
    return [*_sampler(), _drawing(), *_packing()]


def _sampler() -> list[Figure]:
    from mtac_assets.data.mix.interleave import Interleave, lay_out
    from mtac_assets.data.mix.stream import Schedule

    rows = (10**6, 5 * 10**7, 10**9)
    schedule = Schedule(1, ("a", "b", "c"), rows, Interleave.of({0: (3, 4, 1), 10**7: (1, 6, 1)}))
    seconds = median_seconds(lambda: schedule.indices(10**11, BATCH), 9)
    before = _resident()
    for power in range(6, 13):
        schedule.indices(10**power, BATCH)
        next(schedule.places("a", 12_345, 10**power), None)
    grown = _resident() - before
    opening = median_seconds(lambda: Interleave.of({0: (3, 4, 1)}), 21)
    longest = timed(lambda: lay_out([65_536 - 7 * 8_000, *[8_000] * 7]))
    return [
        Figure(
            "places drawn a second",
            BATCH / seconds / 1e6,
            "M/s",
            at_least=2,
            detail=f"source and row of batches of {BATCH:,} at place 10¹¹, three sources, one core",
        ),
        Figure(
            "memory grown from 10⁶ to 10¹² places",
            grown / 1024,
            "MiB",
            at_most=8,
            detail=f"peak resident memory; batches of {BATCH:,}, and a row looked up backwards at each power of ten",
        ),
        Figure(
            "opening a stream",
            1000 * opening,
            "ms",
            detail=f"weights 3:4:1; with the longest period allowed (65,536) {1000 * longest:.0f} ms",
        ),
    ]


def _drawing() -> Figure:
    """Sequences of a step from a written set, tokens and all, against the trainer's step on the same ones, both on one core now."""
    import torch

    from benchmarks.language import BATCH as SEQUENCES
    from benchmarks.language import LENGTH, MICRO, SETTINGS
    from mtac_assets.data.mix.stream import open_stream
    from mtac_assets.spec.language import LanguageTraining
    from mtac_assets.training.loop import train_step
    from mtac_assets.training.models import gpt
    from mtac_assets.training.schedule import Schedule
    from mtac_assets.training.state import TrainingState
    from mtac_assets.training.tasks.language import next_token_loss
    from mtac_assets.training.tokens import TokenSchema

    torch.set_num_threads(1)
    training = LanguageTraining(
        seed=1, batch_size=SEQUENCES, micro_batch_size=MICRO, optimizer="adamw", learning_rate=1e-3,
        precision="float32", device="cpu", threads=1, checkpoint_every_steps=1000,
    )  # fmt: skip
    model = gpt.build(TokenSchema(VOCABULARY, LENGTH, 0, {}), dict(SETTINGS))
    model.initialise(1)
    state = TrainingState(model.train(), training)
    with tempfile.TemporaryDirectory() as folder:
        stream = open_stream(_written(Path(folder), LENGTH, SEQUENCES), 1)
        tokens = torch.from_numpy(stream.rows(0, SEQUENCES)[0])

        class Task:
            schedule = Schedule.of(training, None, 100)

            def micro_batches(self, step: int, first: int, count: int) -> list[tuple[torch.Tensor, ...]]:
                return [(part,) for part in tokens[first * MICRO : (first + count) * MICRO].split(MICRO)]

            def loss(self, model: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
                return next_token_loss(model, batch[0])

        steps, places = iter(range(100)), iter(range(0, 10**9, 999_983 * SEQUENCES))
        train_step(state, Task(), training, next(steps))  # type: ignore[arg-type]
        step = median_seconds(lambda: train_step(state, Task(), training, next(steps)), 5)  # type: ignore[arg-type]
        drawn = median_seconds(lambda: stream.rows(next(places), SEQUENCES), 51)
    return Figure(
        "drawing the sequences of a step",
        100 * drawn / step,
        "% of a step",
        at_most=1,
        detail=f"{1e6 * drawn:.0f} µs for {SEQUENCES} x {LENGTH} tokens at places far apart of a written set, three sources; "
        f"the step took {step:.3f} s ({sum(one.numel() for one in model.parameters()) / 1e6:.1f} M parameters, one core)",
    )


def _written(folder: Path, length: int, sequences: int) -> Path:
    """A training set of random tokens, as the data floor writes one."""
    import json

    from mtac_assets.data.mix.folder import KIND, MANIFEST, SCHEMA_VERSION, array_name, rows_in

    random, weights = np.random.default_rng(1), {"a": 3, "b": 4, "c": 1}
    for name in weights:
        tokens = random.integers(0, VOCABULARY, SOURCE_TOKENS).astype("<u2")
        np.save(folder / array_name("train", name, "tokens"), tokens)
    rows = rows_in(SOURCE_TOKENS, length)
    manifest = {
        "schema_version": SCHEMA_VERSION, "kind": KIND, "sequence_length": length, "batch_size": sequences,
        "steps": 100, "sources": [{"name": name, "rows": rows} for name in weights],
        "mix": {"stages": [{"from_step": 0, "weights": weights}]},
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def _packing() -> list[Figure]:
    from mtac_assets.data.mix import packing, tokenizer
    from mtac_assets.data.mix.scores import score
    from mtac_assets.spec.language import Tokenizer

    texts = [f"{name}\n{text}" for name, text in _texts()]
    size = sum(len(text.encode()) for text in texts)
    spec = Tokenizer(kind="byte_bpe", vocabulary_size=VOCABULARY, trained_on=("a",))
    trained = tokenizer.train(spec, texts, "benchmark")
    named = [(str(place), text) for place, text in enumerate(texts)]
    part = np.zeros(len(texts), dtype=np.int8)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            packing.pack(Path(folder), "a", iter([named]), part, trained)

    def library() -> None:
        """The plain way: batches of the same size, tokens counted and thrown away."""
        for texts_of_one, _ in packing._grouped(iter([named]), part):
            sum(len(encoding) for encoding in trained.inner.encode_batch(texts_of_one, add_special_tokens=False))

    def without_places() -> None:
        """The library's quicker encoding, which leaves out where in the text each token stood."""
        for texts_of_one, _ in packing._grouped(iter([named]), part):
            sum(len(encoding) for encoding in trained.inner.encode_batch_fast(texts_of_one, add_special_tokens=False))

    ours()
    library()
    encoded, packed, ratio = interleaved(library, ours, 5)
    _, _, fast = interleaved(without_places, ours, 5)
    scored = median_seconds(lambda: [score(text) for text in texts[:400]], 3)
    share = sum(len(text.encode()) for text in texts[:400])
    return [
        Figure(
            "packing against the library's own batch encoding",
            ratio,
            at_least=0.9,
            detail=f"{size / 1e6:.1f} MB, {size / packed / 1e6:.1f} MB/s packed and digested, {size / encoded / 1e6:.1f} MB/s encoded alone",
        ),
        Figure(
            "packing against the library's encoding without places",
            fast,
            detail="what packing itself is built on, no target: writing, digests and Python's lists are a fiftieth of its CPU time",
        ),
        Figure("scoring", share / scored / 1e6, "MB/s", detail="all scores and the signature, one core"),
    ]


def _texts() -> list[tuple[str, str]]:
    """The standard library's own texts, as the shipped example reads them."""
    import sysconfig

    root = Path(sysconfig.get_paths()["stdlib"])
    return [(path.name, path.read_text(errors="replace")) for path in sorted(root.glob("*.py"))]


def _resident() -> int:
    """Peak resident memory in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
