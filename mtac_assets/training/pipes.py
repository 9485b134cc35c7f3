"""Dagster Pipes, where Dagster started the trainer: progress as messages and log lines. Imported only then."""

from __future__ import annotations

from typing import Any

from dagster_pipes import PipesContext, open_dagster_pipes

from mtac_assets.training.progress import LogSink

CONTEXT_VARIABLE = "DAGSTER_PIPES_CONTEXT"


class PipesSink:
    """Every record as a custom message `{"kind": "mtac.progress", ...}`; what a log would show, as log lines."""

    def __init__(self) -> None:
        self._open = open_dagster_pipes()
        self._context: PipesContext = self._open.__enter__()
        self._log = LogSink(_Lines(self._context))  # type: ignore[arg-type]

    def record(self, record: dict[str, Any]) -> None:
        self._context.report_custom_message({"mtac": "progress", **record})
        self._log.record(record)

    def note(self, text: str) -> None:
        self._context.log.info(text)

    def close(self) -> None:
        self._open.__exit__(None, None, None)


class _Lines:
    """A stream of lines for `LogSink` that ends in Dagster's log."""

    def __init__(self, context: PipesContext) -> None:
        self._context = context

    def write(self, text: str) -> None:
        if text.strip():
            self._context.log.info(text.rstrip())

    def flush(self) -> None:
        """Messages are sent as they come."""
