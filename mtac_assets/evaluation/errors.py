"""What can go wrong in an evaluation. No heavy import: the command line and Dagster read these too."""

from __future__ import annotations

from mtac_assets.spec.errors import CheckFailed, MtacError


class EvaluationError(MtacError):
    """Rows, scores or reports that cannot be evaluated (exit 2)."""


class EvaluationKilled(CheckFailed):
    """The evaluation's process was ended from outside, or ended without a word (exit 1)."""
