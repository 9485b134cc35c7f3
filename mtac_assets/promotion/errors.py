"""What can go wrong between a trained model and a champion."""

from __future__ import annotations

from mtac_assets.spec.errors import CheckFailed, MtacError


class PromotionError(MtacError):
    """A reproduction or a decision cannot be made: something that it needs is missing or damaged."""


class PromotionRefused(CheckFailed):
    """The decision was made, recorded, and is no: a finding for each gate that failed."""


class PromotionFrozen(MtacError):
    """No decision may be made until a person has looked: the ledger does not verify, or an alias was moved by hand."""
