"""What can go wrong while models are watched. No heavy import: the command line and Dagster read these too."""

from __future__ import annotations

from mtac_assets.spec.errors import CheckFailed, MtacError


class MonitoringError(MtacError):
    """Rows, predictions or settings that cannot be worked with (exit 2)."""


class OtherCode(MonitoringError):
    """The project's code is not the one that trained the model; whoever has the model's own checkout can score there."""


class ScoringKilled(CheckFailed):
    """The scoring process was ended from outside, or ended without a word (exit 1)."""
