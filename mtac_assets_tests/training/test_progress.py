from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys

from mtac_assets.training.progress import FileSink, LogSink, Progress

STEP = {"kind": "step", "steps": 100, "epoch": 0, "loss": 0.5, "rows_per_second": 1234.0}
VALIDATION = {"kind": "validation", "step": 50, "steps": 100, "validation": {"log_loss": 0.4, "roc_auc": None}}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resuming_training_takes_back_what_it_will_do_again(tmp_path):
    path = tmp_path / "progress.jsonl"
    with Progress(FileSink(path, 0)) as progress:
        for step in (10, 20, 30):
            progress.record({**STEP, "step": step})
    with path.open("a") as stream:
        stream.write('{"kind": "step", "st')  # cut by a kill
    with Progress(FileSink(path, 20)) as progress:
        progress.note("resumed")
        progress.record({**STEP, "step": 30})
    assert [line.get("step", line.get("text")) for line in lines(path)] == [10, 20, "resumed", 30]
    assert all("time" in line for line in lines(path))


def test_a_bar_is_shown_where_a_person_looks():
    """In a terminal of its own, for a bar is what a terminal shows: where it stands, the loss, and how validation went."""
    code = (
        "from mtac_assets.training.progress import Progress, screen\n"
        f"with Progress(screen('floods-1')) as progress:\n"
        f"    progress.record({VALIDATION!r})\n"
        f"    progress.record({ {**STEP, 'step': 100}!r})\n"
        "    progress.note('resumed at step 3')\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=theirs, env={**os.environ, "COLUMNS": "160", "TERM": "xterm"}
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:
        pass  # a terminal whose other end is closed
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    shown = said.decode()
    assert "\x1b[" in shown, "a bar, and no lines of a log"
    for words in ("floods-1", "100/100", "loss 0.5000", "1,234 rows/s", "validation", "resumed at step"):
        assert words in shown


def test_a_log_has_about_twenty_lines_and_every_validation():
    stream = io.StringIO()
    with Progress(LogSink(stream)) as progress:
        for step in range(1, 101):
            progress.record({**STEP, "step": step})
        progress.record(VALIDATION)
    said = stream.getvalue().splitlines()
    assert 20 <= len(said) <= 22
    assert "ROC AUC undefined" in said[-1]
