"""A model on the held-out documents of another training set, and two models compared on the documents that both held out.

The texts are read back from the other's tokens (byte-level encoding loses nothing) and encoded by the model's own tokeniser, so models
with different tokenisers, mixes and filters can be compared, in bits per byte. A text's part depends on its digest and the split alone:
whether the model held a document out is known without its training set.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mtac_assets.data.mix.documents import TEST, parts, text_digest
from mtac_assets.data.mix.folder import TOKENIZER, TokenFolder
from mtac_assets.data.mix.tokenizer import TextTokenizer, open_tokenizer
from mtac_assets.evaluation.bootstrap import resample_days
from mtac_assets.evaluation.compare import compare_resampled, resampled_ratio
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.language.losses import losses_of
from mtac_assets.provenance.files import atomic_path
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.language import DocumentBootstrap, LanguageChampionGate
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.pack import Pack
from mtac_assets.training.text_model import load


def score_documents(
    resolved: ResolvedRecipe, pack: Path, own: Path, others: Path, out: Path, note: Callable[[str], None]
) -> None:
    """Write `out` (Parquet): source, nats, tokens, bytes, held_out of every test document of the training set at `others`.

    `own`: a training set with the tokeniser of `pack`, which `resolved` is the recipe of. Raises EvaluationError where the tokeniser
    is another one.
    """
    sealed = Pack.open(pack)
    sealed.verify()
    tokenizer, folder = _tokenizer(TokenFolder.open(own), sealed), TokenFolder.open(others)
    theirs = open_tokenizer(folder.folder / TOKENIZER, folder.manifest["tokenizer"])
    model = load(pack, resolved.folder)
    tables: list[pa.Table] = []
    for source in folder.sources:
        note(f"held-out documents of {source}")
        texts, sizes = _texts(folder, source, theirs), folder.array("test", source, "bytes")
        assert [len(text.encode()) for text in texts] == sizes.tolist(), "tokens give back their text"
        encoded = [np.append(tokens, tokenizer.end_of_text) for tokens in tokenizer.encode(texts)]
        offsets = np.cumsum([0, *map(len, encoded)])
        losses = losses_of(model, np.concatenate(encoded) if encoded else np.zeros(0, np.uint32), offsets, sizes)
        held_out = parts([text_digest(text) for text in texts], resolved.language.split) == TEST
        columns = {"nats": losses.nats, "tokens": losses.tokens, "bytes": losses.bytes, "held_out": held_out}
        tables.append(pa.table({"source": pa.array([source] * len(losses), pa.string()), **columns}))
    with atomic_path(out) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary)


def _texts(folder: TokenFolder, source: str, tokenizer: TextTokenizer) -> list[str]:
    tokens, offsets = folder.array("test", source, "tokens"), folder.array("test", source, "documents")
    return [tokenizer.decode(tokens[start:end].tolist()) for start, end in itertools.pairwise(offsets)]


def _tokenizer(folder: TokenFolder, pack: Pack) -> TextTokenizer:
    learnt = pack.document("model")["tokens"]["tokenizer"]["digest"]
    there = folder.manifest["tokenizer"]
    if there["digest"] != learnt:
        raise EvaluationError(
            Finding(
                f"the tokeniser {there['digest'][:12]} is not the one that {pack.model_id} learned with",
                str(folder.folder / TOKENIZER),
                f"digest {learnt[:12]}",
                "score it with the tokeniser of its own training set",
            )
        )
    return open_tokenizer(folder.folder / TOKENIZER, there)


def compare_documents(
    own: pa.Table, other: pa.Table, gate: LanguageChampionGate, settings: DocumentBootstrap
) -> dict[str, Any]:
    """The paired comparison in bits per byte, over documents; or why there can be none (`invalid`).

    `own`: a report's scores; `other`: what `score_documents` wrote for the same training set. An effect above 0 means that `own` is
    better. Only documents that both held out count; `excluded` says how many others there are.
    """
    same = all(own[name].equals(other[name]) for name in ("source", "bytes"))
    if not same:
        return {"invalid": "the two models were not scored on the same documents"}
    chosen = other["held_out"].to_numpy()
    if gate.source is not None:
        chosen = chosen & (own["source"].to_numpy() == gate.source)
    excluded = {"excluded": int((~other["held_out"].to_numpy()).sum()), "unit": "document"}
    if not chosen.any():
        return {"invalid": "no document was held out by both models: their splits share no test document", **excluded}
    sizes = own["bytes"].to_numpy()[chosen].astype(float)
    resampling = resample_days(
        len(sizes), resamples=settings.resamples, seed=settings.seed, confidence=settings.confidence
    )
    a, b = (
        resampled_ratio(gate.metric, -1, table["nats"].to_numpy()[chosen] / math.log(2), sizes, "document", resampling)
        for table in (own, other)
    )
    found = compare_resampled(a, b, resampling, min_effect=gate.min_effect, seed_deviation=gate.seed_deviation)
    return found.document() | excluded
