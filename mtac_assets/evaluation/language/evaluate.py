"""Evaluate one language model on its held-out documents, and publish the report.

losses by document -> metrics with intervals; greedy samples; the suite -> report.json, report.html, a plot, scores.parquet
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mtac_assets.data.mix.folder import TOKENIZER, TokenFolder
from mtac_assets.data.mix.tokenizer import open_tokenizer
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.evaluate import Stopwatch, identity_of
from mtac_assets.evaluation.language.losses import DocumentLosses, document_losses, unigram_losses
from mtac_assets.evaluation.language.metrics import measure
from mtac_assets.evaluation.language.page import draw, language_page
from mtac_assets.evaluation.language.samples import greedy_samples
from mtac_assets.evaluation.language.suite import Tokens, run_suite, tasks_of
from mtac_assets.evaluation.report import Report, publish_report
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.keys import report_key
from mtac_assets.provenance.usage import Usage
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.pack import Pack
from mtac_assets.training.text_model import load


def evaluate_language(
    project: Project,
    resolved: ResolvedRecipe,
    pack: Path,
    *,
    data_dir: Path | None = None,
    out: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
    before: Usage | None = None,
) -> Report:
    """Judge `pack` on the test documents of `resolved`. `before`: what this process had used for other work.

    Raises EvaluationError where it learned from another training set.
    """
    from mtac_assets.data.training_set import build

    sealed = Pack.open(pack)
    sealed.verify()
    with Stopwatch(note).part("tokens", "opening the held-out documents"):
        folder = TokenFolder.open(build(project, resolved, data_dir).folder)
    _require_same_tokens(sealed, folder)
    tokenizer = open_tokenizer(folder.folder / TOKENIZER, folder.manifest["tokenizer"])
    document, scores = judge(resolved, pack, folder, tokenizer, note)
    used = Usage.so_far(sum(document["seconds"].values())).since(before or Usage())
    document |= identity_of(project, resolved, sealed) | {
        "key": report_key(project, resolved, sealed.model_id),
        "usage": used.document(),
    }
    final = out or project.state.reports / sealed.model_id
    report = publish_report(document, scores, final, draw, language_page)
    value = report.metrics["bits_per_byte"]["value"]
    note("no held-out document" if value is None else f"{value:.4f} bits per byte")
    return report


def judge(
    resolved: ResolvedRecipe,
    pack: Path,
    folder: TokenFolder,
    tokenizer: Tokens,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Any], pa.Table]:
    """All that is measured, and the losses of every document."""
    watch = Stopwatch(note)
    settings = resolved.language.evaluation.bootstrap
    tasks = tasks_of(resolved.language.evaluation.suite, resolved.folder)
    model = load(pack, resolved.folder)
    losses: dict[str, DocumentLosses] = {}
    for source in folder.sources:
        with watch.part("losses", f"held-out documents of {source}"):
            losses[source] = document_losses(model, folder, source)
    with watch.part("metrics", f"{settings.resamples:,} resamples of documents"):
        metrics = measure(losses, settings)
        baseline = measure(unigram_losses(folder, losses, model.schema.vocabulary_size), settings)
    with watch.part("samples", "what it writes"):
        samples = greedy_samples(model, folder, tokenizer)
    with watch.part("suite", "tasks that code can score"):
        suite = run_suite(model, tokenizer, tasks)
    document: dict[str, Any] = {
        "kind": "language",
        "metrics": metrics,
        "baselines": {"unigram": baseline},
        "baseline_comparisons": {},
        "comparison": None,
        "champion_metrics": None,
        "slices": [],
        "sources": {name: _counts(one) for name, one in losses.items()},
        "samples": samples,
        "suite": suite,
        "bootstrap": {"unit": "document", **settings.model_dump()},
        "overlap_rows": overlap(folder),
        "near_duplicates": folder.manifest.get("near_duplicates"),
        "mix": folder.manifest["mix"],
        "training_set": folder.manifest["digest"],
        "test": {
            "rows": sum(len(one) for one in losses.values()),
            "tokens": int(sum(one.tokens.sum() for one in losses.values())),
            "bytes": int(sum(one.bytes.sum() for one in losses.values())),
            "days": [],
            "excluded_unlabelled": 0,
            "digest": digest_json({name: _digest(folder, name) for name in folder.sources}),
        },
        "seconds": watch.seconds,
    }
    return document, _scores(losses)


def _counts(losses: DocumentLosses) -> dict[str, int]:
    return {"documents": len(losses), "tokens": int(losses.tokens.sum()), "bytes": int(losses.bytes.sum())}


def _digest(folder: TokenFolder, source: str) -> str:
    return hashlib.sha256(np.ascontiguousarray(folder.array("test", source, "tokens")).tobytes()).hexdigest()


def overlap(folder: TokenFolder) -> int:
    """Held-out documents whose very tokens are a training document's too. The split by digest leaves none; this counts anew."""
    held_out: dict[bytes, int] = {}
    for digest in _documents(folder, "test"):
        held_out[digest] = held_out.get(digest, 0) + 1
    learned = {digest for part in ("train", "validate") for digest in _documents(folder, part) if digest in held_out}
    return sum(held_out[digest] for digest in learned)


def _documents(folder: TokenFolder, part: str) -> Iterator[bytes]:
    for source in folder.sources:
        tokens, offsets = folder.array(part, source, "tokens"), folder.array(part, source, "documents")
        for start, end in itertools.pairwise(offsets):
            yield hashlib.blake2b(tokens[start:end].tobytes(), digest_size=16).digest()


def _scores(losses: dict[str, DocumentLosses]) -> pa.Table:
    parts = [
        pa.table(
            {
                "source": pa.array([name] * len(one), pa.string()),
                "nats": one.nats,
                "tokens": one.tokens,
                "bytes": one.bytes,
            }
        )
        for name, one in losses.items()
    ]
    return pa.concat_tables(parts)


def _require_same_tokens(pack: Pack, folder: TokenFolder) -> None:
    trained, here = pack.document("training")["training_set"], folder.manifest["digest"]
    if trained != here:
        raise EvaluationError(
            Finding(
                f"the model learned from the training set {trained[:12]}, and this is {here[:12]}",
                str(folder.folder),
                "the training set that it learned from: its held-out documents are the ones it never saw",
                "evaluate it by its own recipe.json and data",
            )
        )
