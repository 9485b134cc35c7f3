"""The training set of a language model: scored, filtered, parted, tokenised and packed, under the key of all that decides it.

Belongs here: the order of these, and the manifest. Each of them is a module of its own. `training_set.build` is the door.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mtac_assets.data.features import require_stamped
from mtac_assets.data.mix import score_table, trained
from mtac_assets.data.mix.documents import ALL, LEFT_OUT, TEST, TRAIN, VALIDATE, read_documents
from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.mix.folder import KIND, MANIFEST, PARTS, SCHEMA_VERSION, TOKENIZER, rows_in
from mtac_assets.data.mix.minhash import duplicates_among
from mtac_assets.data.mix.packing import Packed, pack
from mtac_assets.data.mix.score_table import ScoreTable
from mtac_assets.data.mix.selection import Selection, select
from mtac_assets.data.mix.shares import plan_mix, require_enough
from mtac_assets.data.mix.tokenizer import TextTokenizer, save
from mtac_assets.provenance.digest import digest_json, sha256_file
from mtac_assets.provenance.files import write_json
from mtac_assets.provenance.keys import LanguageKeys
from mtac_assets.spec.errors import Finding, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.language import LanguageRecipe
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

INDEX = "documents.{source}.parquet"
_PART_NAMES = (*PARTS, "left out")
_NAMED = 20  # near-duplicates named in the manifest; all are counted


@dataclass(frozen=True)
class Prepared:
    """All that a training set is packed from."""

    recipe: LanguageRecipe
    tables: Mapping[str, ScoreTable]
    selections: Mapping[str, Selection]
    tokenizer: TextTokenizer


def score(project: Project, resolved: ResolvedRecipe, keys: LanguageKeys, data_dir: Path) -> dict[str, ScoreTable]:
    """The scores of each of the recipe's datasets. Raises Unstamped where one did not pass its contract."""
    datasets = dict.fromkeys(source.dataset for source in resolved.language.mix.sources.values())
    require_stamped(project, data_dir, [f"{dataset}/{ALL}" for dataset in datasets])
    return {name: score_table.ensure(project, name, keys.scores[name], data_dir) for name in datasets}


def prepare(project: Project, resolved: ResolvedRecipe, keys: LanguageKeys, data_dir: Path) -> Prepared:
    """Scores, selections and the tokeniser. Raises MixError with what is wrong in every source at once."""
    recipe = resolved.language
    tables = score(project, resolved, keys, data_dir)
    selections: dict[str, Selection] = {}
    findings: list[Finding] = []
    for name in sorted(recipe.mix.sources):
        source = recipe.mix.sources[name]
        try:
            selections[name] = select(name, source, recipe.split, tables[source.dataset])
        except MixError as error:
            findings.extend(error.findings)
    raise_all(MixError, findings)
    assert keys.tokenizer is not None, "the data was read a moment ago"
    tokenizer = trained.ensure(project, recipe, selections, keys.tokenizer, data_dir)
    return Prepared(recipe, tables, selections, tokenizer)


def write(folder: Path, prepared: Prepared, key: str, data_dir: Path, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Pack everything into `folder`, the manifest last; the manifest. Raises MixError where a source runs out."""
    recipe, length = prepared.recipe, prepared.recipe.mix.sequence_length
    packed: dict[str, dict[str, Packed]] = {}
    index: dict[str, str] = {}
    for name, selection in prepared.selections.items():
        batches = read_documents(data_dir, recipe.mix.sources[name].dataset)
        packed[name] = pack(folder, name, batches, selection.part, prepared.tokenizer)
        index[name] = _write_index(folder, name, selection)
    rows = {name: rows_in(parts["train"].tokens, length) for name, parts in packed.items()}
    _require_rows(recipe, packed, rows)
    plan = plan_mix(recipe.mix, recipe.training.batch_size, rows)
    require_enough(recipe.mix, plan, rows)
    save(prepared.tokenizer, folder / TOKENIZER)
    sources = [_source(recipe, prepared.selections[name], parts, rows[name]) for name, parts in packed.items()]
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "recipe": recipe.name,
        "key": key,
        "sequence_length": length,
        "vocabulary_size": prepared.tokenizer.vocabulary_size,
        "end_of_text": prepared.tokenizer.end_of_text,
        "tokenizer": prepared.tokenizer.document(),
        "batch_size": plan.batch_size,
        "steps": plan.steps,
        "mix": plan.document(),
        "sources": sources,
        "index": index,
        "near_duplicates": near_duplicates(prepared),
        "inputs": {"data": dict(inputs)},
        "files": {
            path.name: {"size": path.stat().st_size, "sha256": sha256_file(path)} for path in sorted(folder.iterdir())
        },
    }
    decides = ("sequence_length", "vocabulary_size", "end_of_text", "batch_size", "steps")
    document["digest"] = digest_json(
        {
            **{name: document[name] for name in decides},
            "tokenizer": document["tokenizer"]["digest"],
            "stages": [[stage["from_step"], stage["weights"]] for stage in document["mix"]["stages"]],
            "sources": {entry["name"]: entry["digest"] for entry in sources},
            "validate": {entry["name"]: entry["validate"]["digest"] for entry in sources},
            "index": index,  # so that equal texts under other names are another set: `trace` answers by name
        }
    )
    write_json(folder / MANIFEST, document)
    return document


def near_duplicates(prepared: Prepared) -> dict[str, Any]:
    """Held-out documents that have a near-duplicate among the training documents of any source: counts, and the first few."""
    known: list[np.ndarray] = []
    names: list[tuple[str, np.ndarray]] = []
    for name, selection in prepared.selections.items():
        chosen = np.flatnonzero(selection.part == TRAIN)
        known.append(selection.table.signatures()[chosen])
        names.append((name, chosen))
    training = np.concatenate(known)
    edges = np.cumsum([0, *(len(chosen) for _, chosen in names)])
    held_out = found = 0
    pairs: list[dict[str, str]] = []
    for name, selection in prepared.selections.items():
        chosen = np.flatnonzero((selection.part == VALIDATE) | (selection.part == TEST))
        places = duplicates_among(selection.table.signatures()[chosen], training)
        held_out += len(chosen)
        found += int((places >= 0).sum())
        for place in np.flatnonzero(places >= 0)[: _NAMED - len(pairs)]:
            source = int(np.searchsorted(edges, places[place], "right")) - 1
            other = int(names[source][1][places[place] - edges[source]])
            pairs.append(
                {
                    "held_out": f"{name}:{_name_at(selection, int(chosen[place]))}",
                    "like": f"{names[source][0]}:{_name_at(prepared.selections[names[source][0]], other)}",
                }
            )
    return {"held_out": held_out, "found": found, "share": found / held_out, "first": pairs}


def _name_at(selection: Selection, place: int) -> str:
    return next(name for number, name in enumerate(selection.table.names()) if number == place)


def _require_rows(recipe: LanguageRecipe, packed: Mapping[str, Mapping[str, Packed]], rows: Mapping[str, int]) -> None:
    length = recipe.mix.sequence_length
    findings = [
        Finding(
            f"`{name}` has {packed[name]['train'].tokens:,} tokens to train on, too few for one sequence",
            f"mix.sources.{name}",
            f"{length + 1:,} tokens or more",
            "shorten mix.sequence_length, loosen its filters, or remove the source",
        )
        for name, count in rows.items()
        if count == 0
    ]
    raise_all(MixError, findings)


def _source(recipe: LanguageRecipe, selection: Selection, parts: Mapping[str, Packed], rows: int) -> dict[str, Any]:
    declared = recipe.mix.sources[selection.source]
    train = parts["train"]
    return {
        "name": selection.source,
        "dataset": declared.dataset,
        "kind": declared.kind,
        "max_epochs": declared.max_epochs,
        "rows": rows,
        "tokens": train.tokens,
        "documents": train.documents,
        "bytes": train.bytes,
        "digest": train.digest,
        "unused_tokens": train.tokens - 1 - rows * recipe.mix.sequence_length,
        "validate": parts["validate"].document(),
        "test": parts["test"].document(),
        "selection": selection.document(),
    }


def _write_index(folder: Path, source: str, selection: Selection) -> str:
    """Every document of the source with its part and its place there, so that one can be found by its name; a digest over it."""
    place = np.full(len(selection.part), -1, dtype=np.int64)
    for number in range(len(PARTS)):
        chosen = selection.part == number
        place[chosen] = np.arange(int(chosen.sum()))
    part = pa.DictionaryArray.from_arrays(pa.array(selection.part), pa.array(_PART_NAMES))
    assert len(_PART_NAMES) == LEFT_OUT + 1
    lengths, written = hashlib.sha256(), hashlib.sha256()  # of the names, in this order whatever the batches
    with pq.ParquetWriter(folder / INDEX.format(source=source), _INDEX_SCHEMA, compression="zstd") as writer:
        start = 0
        for names in _batched(selection):
            stop = start + len(names)
            columns = [names, part[start:stop].dictionary_decode(), pa.array(place[start:stop])]
            writer.write_table(pa.table(columns, schema=_INDEX_SCHEMA))
            encoded = names.cast(pa.binary()).to_pylist()
            lengths.update(np.array([len(name) for name in encoded], dtype="<i8").tobytes())
            written.update(b"".join(encoded))
            start = stop
    parts = hashlib.sha256(selection.part.astype("<i8").tobytes())
    return digest_json([lengths.hexdigest(), written.hexdigest(), parts.hexdigest()])


_INDEX_SCHEMA = pa.schema([("document", pa.string()), ("part", pa.string()), ("place", pa.int64())])


def _batched(selection: Selection) -> Any:
    with pq.ParquetFile(selection.table.path) as file:
        for batch in file.iter_batches(columns=["document"], batch_size=65_536):
            yield batch.column(0)


def build_into(
    temporary: Path, project: Project, resolved: ResolvedRecipe, keys: LanguageKeys, data_dir: Path
) -> dict[str, Any]:
    """Build the training set of `resolved` in the new folder `temporary`; its manifest."""
    assert keys.training_set is not None, "the data was read a moment ago"
    prepared = prepare(project, resolved, keys, data_dir)
    return write(temporary, prepared, keys.training_set, data_dir, keys.data)
