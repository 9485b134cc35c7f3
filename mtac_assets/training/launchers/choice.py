"""The environment's `launcher.kind` to the launcher itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mtac_assets.spec.environment import Launcher
from mtac_assets.training.launchers import local, ray_cluster, torchrun

Command = Callable[[Sequence[str], int], list[str]]
"""From the trainer's arguments and the number of workers to what is started in the project's root."""

LAUNCHERS: dict[str, Command] = {"process": local.command, "torchrun": torchrun.command, "ray": ray_cluster.command}


def choose(launcher: Launcher) -> Command:
    """The launcher that the environment names."""
    return LAUNCHERS[launcher.kind]
