"""What goes wrong between texts and sequences."""

from __future__ import annotations

from mtac_assets.spec.errors import MtacError


class MixError(MtacError):
    """The mix cannot be made as the recipe asks for it."""
