from __future__ import annotations

import io
import json

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


def test_a_log_has_about_twenty_lines_and_every_validation():
    stream = io.StringIO()
    with Progress(LogSink(stream)) as progress:
        for step in range(1, 101):
            progress.record({**STEP, "step": step})
        progress.record(VALIDATION)
    said = stream.getvalue().splitlines()
    assert 20 <= len(said) <= 22
    assert "ROC AUC undefined" in said[-1]
