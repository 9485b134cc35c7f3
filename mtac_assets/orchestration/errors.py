"""From a finding to Dagster's failure: the UI and the terminal say the same words, and neither shows a traceback.

The way back, from a failed run to its finding, is in `execute`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.spec.errors import CheckFailed, MtacError

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
