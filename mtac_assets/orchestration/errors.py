"""From a finding to Dagster's failure and back: the UI and the terminal say the same words, and neither a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError

EXIT_CODE = "exit code"
FINDINGS = "findings"


class RunFailed(MtacError):
    """A Dagster run ended without success, and left no finding that says why."""

    exit_code = CheckFailed.exit_code


@contextmanager
def as_failure() -> Iterator[None]:
    """Turn an MtacError into a `Failure` that is not retried: the same input fails again."""
    try:
        yield
    except MtacError as error:
        raise dg.Failure(
            description=str(error),
            metadata={
                "what went wrong": metadata.findings_table(error.findings),
                FINDINGS: dg.MetadataValue.json([finding.document() for finding in error.findings]),
                EXIT_CODE: error.exit_code,
            },
            allow_retries=False,
        ) from error


def raised(cause: BaseException) -> MtacError | None:
    """The MtacError behind an exception of Dagster's, if one is in its chain."""
    seen: BaseException | None = cause
    while seen is not None:
        if isinstance(seen, MtacError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def from_failure(description: str, documents: object, exit_code: object) -> MtacError:
    """The MtacError that a `Failure` carried, from its stored metadata."""
    if isinstance(documents, list) and documents:
        findings = tuple(Finding(**document) for document in documents)
    else:
        findings = (Finding(description, "the Dagster run", "a run that succeeds", "read the run's log in the UI"),)
    kind = CheckFailed if exit_code == CheckFailed.exit_code else MtacError
    return kind(*findings)
