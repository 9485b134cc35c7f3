"""What a recipe asks for that needs all weights at once. No torch here: the preflight asks too."""

from __future__ import annotations

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Training


def unshardable(training: Training) -> list[Finding]:
    """A finding for each setting that no worker can follow who does not hold all weights."""
    wanted = (("ema_decay", training.ema_decay is not None, "null"), ("compile", training.compile, "false"))
    return [
        Finding(
            f"training.{name} needs all weights at once, and where they are sharded no worker has them",
            f"training.{name}",
            f"{expected}, or launcher.sharded: false in the environment",
            "train on devices that hold the network whole, or change the recipe (which makes another model)",
        )
        for name, there, expected in wanted
        if there
    ]
