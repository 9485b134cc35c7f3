"""From steps to documents and back, against a plain search through everything that a training sees."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mtac_assets.data import training_set
from mtac_assets.data.mix.documents import read_documents
from mtac_assets.data.mix.folder import TokenFolder
from mtac_assets.data.mix.stream import open_stream
from mtac_assets.data.mix.trace import find, samples, steps_with
from mtac_assets.data.training_set import TrainingSet
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets_tests.texts import SOURCE, ingest_texts, make_texts

SEED = 7


@pytest.fixture(scope="module")
def built(texts: Project) -> TrainingSet:
    """More than one epoch of prose, so that a document is seen again."""
    overrides = ("mix.tokens=40000", "mix.stages=[]", "mix.sources.prose.ratio=7/8", "mix.sources.code.ratio=1/16",
                 "mix.sources.sums.ratio=1/16")  # fmt: skip
    return training_set.build(texts, load_recipe(texts, "small_lm", overrides))


def test_samples_are_what_the_stream_gives_and_name_the_documents_that_hold_the_text(
    texts: Project, built: TrainingSet
):
    known = {
        (source["name"], name): text
        for source in built.manifest["sources"]
        for batch in read_documents(texts.state.data, source["dataset"])
        for name, text in batch
    }
    stream = open_stream(built.folder, SEED)
    for step in (0, 3, built.manifest["steps"] - 1):
        found = list(samples(built.folder, SEED, step))
        assert [one.place for one in found] == list(range(step * 8, step * 8 + 8))
        for one in found:
            assert (one.source, one.epoch, one.row) == stream.identify(one.place)
            assert one.text in "".join(known[one.source, name] for name in one.documents)


def test_a_document_is_found_at_exactly_the_steps_that_saw_a_token_of_it(built: TrainingSet):
    folder = TokenFolder.open(built.folder)
    steps, length = folder.steps, folder.sequence_length
    stream = open_stream(built.folder, SEED)
    seen = [stream.identify(place) for place in range(steps * 8)]
    for source in ("prose", "code"):
        begins = folder.array("train", source, "documents")
        names = {name for name, part in _index(built, source).items() if part == "train"}
        by_place = [name for name, part in _index(built, source).items() if part == "train"]
        assert len(names) == len(begins) - 1
        for place in (0, 5, len(by_place) - 1):
            use = find(built.folder, source, by_place[place], ("prose",))
            assert use is not None
            assert use.tokenizer == (source == "prose")
            first, end = begins[place], begins[place + 1]
            wanted = sorted(
                {
                    number // 8
                    for number, one in enumerate(seen)
                    if one.source == source and one.row * length < end and one.row * length + length >= first
                }
            )
            assert list(steps_with(built.folder, SEED, use)) == wanted
            if source == "prose":
                assert len(wanted) > len(use.rows), "seen in two epochs"


def test_held_out_and_filtered_documents_were_seen_by_no_step(built: TrainingSet):
    index = _index(built, "code")
    for part in ("validate", "test", "left out"):
        name = next(name for name, belongs in index.items() if belongs == part)
        use = find(built.folder, "code", name, ("code",))
        assert use is not None
        assert (use.part, list(use.rows), use.tokenizer) == (part, [], False)
        assert list(steps_with(built.folder, SEED, use)) == []
    assert find(built.folder, "code", "nobody", ()) is None


def test_equal_texts_under_other_names_are_another_training_set(texts: Project, tmp_path: Path):
    """Where a document went is answered by name, from a set that is found by its digest."""
    before = training_set.build(texts, load_recipe(texts, "small_lm")).manifest
    renamed = make_texts(tmp_path, sums=SOURCE["sums"].replace("sums-", "total-"))
    ingest_texts(renamed)
    after = training_set.build(renamed, load_recipe(renamed, "small_lm")).manifest
    assert [one["digest"] for one in before["sources"]] == [one["digest"] for one in after["sources"]]
    assert {name for name in before["index"] if before["index"][name] != after["index"][name]} == {"sums"}
    assert before["digest"] != after["digest"]


def test_a_step_that_is_none_is_refused(built: TrainingSet):
    with pytest.raises(ValueError, match="has the steps 0 to"):
        list(samples(built.folder, SEED, built.manifest["steps"]))


def test_neither_way_needs_more_memory_for_a_longer_training(built: TrainingSet, tmp_path: Path):
    """Fifty times the steps, and the last of them: the same few kilobytes."""
    entry = next(name for name, part in _index(built, "prose").items() if part == "train")
    peaks: list[tuple[int, int]] = []
    for times in (1, 50):
        folder = tmp_path / str(times)
        shutil.copytree(built.folder, folder)
        steps = built.manifest["steps"] * times
        (folder / "manifest.json").write_text(json.dumps(dict(built.manifest) | {"steps": steps}))
        use = find(folder, "prose", entry, ())
        assert use is not None
        seen = 0
        with _traced() as peak_of_steps:
            for _ in steps_with(folder, SEED, use):
                seen += 1
        assert seen >= times
        with _traced() as peak_of_samples:
            assert len(list(samples(folder, SEED, steps - 1))) == 8
        peaks.append((peak_of_steps[0], peak_of_samples[0]))
    (steps_short, samples_short), (steps_long, samples_long) = peaks
    assert steps_long < steps_short + 16_384
    assert samples_long < samples_short + 65_536


@contextmanager
def _traced() -> Iterator[list[int]]:
    """Peak bytes that Python and numpy held within the block, in the list once it has ended."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def _index(built: TrainingSet, source: str) -> dict[str, str]:
    import pyarrow.parquet as pq

    rows = pq.read_table(built.folder / f"documents.{source}.parquet").to_pylist()
    assert np.unique([row["document"] for row in rows]).size == len(rows)
    return {row["document"]: row["part"] for row in rows}
