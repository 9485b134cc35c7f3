"""Packing: memory that does not grow with the texts, and a build that is killed leaves nothing behind that counts."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mtac_assets.data import training_set
from mtac_assets.data.mix.documents import LEFT_OUT, TEST, TRAIN
from mtac_assets.data.mix.folder import array_name, token_type
from mtac_assets.data.mix.packing import pack
from mtac_assets.data.mix.tokenizer import train
from mtac_assets.spec.language import Tokenizer
from mtac_assets.spec.load import load_recipe
from mtac_assets_tests.texts import ingest_texts, make_texts

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [f"document {n} tells of the harbour and of the tide {n * n}\n" * 3 for n in range(40)]
TOKENIZER = train(Tokenizer(kind="byte_bpe", vocabulary_size=290, trained_on=("a",)), TEXTS, "here")


def test_documents_lie_one_after_the_other_in_their_parts_and_what_is_left_out_nowhere(tmp_path: Path):
    part = np.array([(TRAIN, TEST, LEFT_OUT)[n % 3] for n in range(40)], dtype=np.int8)
    named = [(str(n), text) for n, text in enumerate(TEXTS)]
    packed = pack(tmp_path, "a", [named[:13], named[13:]], part, TOKENIZER)
    for name, number in (("train", TRAIN), ("test", TEST)):
        tokens, begins, sizes = (
            np.load(tmp_path / array_name(name, "a", what)) for what in ("tokens", "documents", "bytes")
        )
        chosen = [text for text, belongs in zip(TEXTS, part, strict=True) if belongs == number]
        assert [TOKENIZER.decode(tokens[a:b].tolist()) for a, b in itertools.pairwise(begins)] == chosen
        assert list(tokens[begins[1:] - 1]) == [TOKENIZER.end_of_text] * len(chosen)
        assert list(sizes) == [len(text.encode()) for text in chosen]
        assert (packed[name].tokens, packed[name].documents) == (len(tokens), len(chosen))
    empty = np.load(tmp_path / array_name("validate", "a", "tokens"), mmap_mode="r")
    assert (len(empty), packed["validate"].documents) == (0, 0)


def test_tokens_take_two_bytes_where_they_fit():
    assert [token_type(size).itemsize for size in (257, 65_536, 65_537)] == [2, 2, 4]


PACK = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from mtac_assets.data.mix.packing import pack
from mtac_assets.data.mix.tokenizer import train
from mtac_assets.spec.language import Tokenizer

def batches(count):
    for first in range(0, count, 100):
        yield [(str(n), f"document {n} tells of the harbour and of the tide {n * n}\\n" * 20) for n in range(first, first + 100)]

texts = [text for batch in batches(300) for _, text in batch]
tokenizer = train(Tokenizer(kind="byte_bpe", vocabulary_size=290, trained_on=("a",)), texts, "here")
peak = []
for count in (1500, 7500):
    with tempfile.TemporaryDirectory() as folder:
        pack(Path(folder), "a", batches(count), np.zeros(count, dtype=np.int8), tokenizer)
    peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peak[1] - peak[0])
"""


def test_five_times_the_texts_take_no_more_memory():
    done = subprocess.run([sys.executable, "-c", PACK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 6 * 1024, "KiB, of 8 MB more of texts and 5 MB more of tokens"


BUILD = """
import sys
from pathlib import Path
from mtac_assets.data import training_set
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import find_project
project = find_project(Path(sys.argv[1]))
print("begins", flush=True)
training_set.build(project, load_recipe(project, "small_lm"))
print("ends", flush=True)
"""


@pytest.mark.fault
@pytest.mark.parametrize("seen", ["scores", "tokenizers", "training_sets"])
def test_killed_while_it_builds_it_leaves_nothing_partial_and_the_next_gives_the_same(tmp_path: Path, seen: str):
    project = make_texts(tmp_path)
    ingest_texts(project)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BUILD, str(tmp_path)]
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    watched = tmp_path / ".mtac" / seen
    while child.poll() is None and not (watched.is_dir() and any(watched.iterdir())):
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    for folder in (tmp_path / ".mtac").glob("training_sets/[!.]*"):
        key = json.loads((folder / "manifest.json").read_text())["key"]
        assert training_set.find(folder, key, None) is not None, "a folder under its final name is whole"
    built = training_set.build(project, load_recipe(project, "small_lm"))
    fresh = make_texts(tmp_path / "fresh")
    ingest_texts(fresh)
    assert training_set.build(fresh, load_recipe(fresh, "small_lm")).digest == built.digest
