"""Progress of a training, to whoever watches: a file, a person at a terminal, a log, and Dagster where it started us."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from mtac_assets.provenance.files import write_atomic
from mtac_assets.spec import clock

FILE = "progress.jsonl"
SHOWN = {"log_loss": "log loss", "roc_auc": "ROC AUC", "loss": "loss"}
"""Measures of a validation that are told while it trains; the file has all of them."""


class Sink(Protocol):
    def record(self, record: dict[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Progress:
    """Hands every record (a step, a validation) and note (a sentence worth keeping) to all sinks."""

    def __init__(self, *sinks: Sink) -> None:
        self.sinks = sinks
        self.notes: list[str] = []

    def record(self, record: dict[str, Any]) -> None:
        for sink in self.sinks:
            sink.record(record)

    def note(self, text: str) -> None:
        self.notes.append(text)
        for sink in self.sinks:
            sink.note(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sink in self.sinks:
            sink.close()


class FileSink:
    """`progress.jsonl`: one JSON object a line. What an earlier attempt wrote beyond the step we resume from is taken back."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        kept = [line for line in _lines(path) if line.get("step", 0) <= resumed_step]
        write_atomic(path, b"".join(json.dumps(line).encode() + b"\n" for line in kept))
        self._stream = path.open("a")

    def record(self, record: dict[str, Any]) -> None:
        self._stream.write(json.dumps({**record, "time": clock.timestamp()}) + "\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        self.record({"kind": "note", "text": text})

    def close(self) -> None:
        self._stream.close()


class BarSink:
    """A bar on a terminal."""

    def __init__(self, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, TextColumn("{task.fields[said]}"), console=Console(stderr=True))
        self._task = self._bar.add_task(label, total=None, said="")
        self._bar.start()
        self._validated = ""

    def record(self, record: dict[str, Any]) -> None:
        if record["kind"] == "validation":
            self._validated = f" · validation {_shown(record)}"
            return
        said = f"loss {record['loss']:.4f} · {record['rows_per_second']:,.0f} rows/s{self._validated}"
        self._bar.update(self._task, total=record["steps"], completed=record["step"], said=said)

    def note(self, text: str) -> None:
        self._bar.console.print(text)

    def close(self) -> None:
        self._bar.stop()


class LogSink:
    """Lines on standard error: about twenty for a whole training, one a validation, and every note."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._twentieth = -1

    def record(self, record: dict[str, Any]) -> None:
        if record["kind"] == "validation":
            self._say(f"step {record['step']}/{record['steps']}  validation {_shown(record)}")
            return
        twentieth = 20 * record["step"] // record["steps"]
        if twentieth != self._twentieth:
            self._twentieth = twentieth
            rate = f"{record['rows_per_second']:,.0f} rows/s"
            self._say(
                f"step {record['step']}/{record['steps']}  epoch {record['epoch']}  loss {record['loss']:.4f}  {rate}"
            )

    def note(self, text: str) -> None:
        self._say(text)

    def close(self) -> None:
        self._stream.flush()

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def screen(label: str) -> Sink:
    """A bar where a person looks, lines elsewhere."""
    return BarSink(label) if sys.stderr.isatty() else LogSink()


def _shown(record: dict[str, Any]) -> str:
    measured = record["validation"]
    return ", ".join(
        f"{words} {'undefined' if measured[name] is None else format(measured[name], '.4f')}"
        for name, words in SHOWN.items()
        if name in measured
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of an earlier attempt; the last may have been cut by a kill."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
