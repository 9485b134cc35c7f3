"""How the states of windows look, the same in the pictures of drift and of performance: told apart by colour and by shape."""

from __future__ import annotations

from collections.abc import Iterable

from mtac_assets.evaluation.style import Look
from mtac_assets.evaluation.svg_file import Key, colours

STATE_LOOKS = {
    "OK": Look("OK", "calm", "circle", "#0072B2"),
    "WATCH": Look("WATCH", "watched", "diamond", "#E69F00"),
    "ALARM": Look("ALARM", "alarming", "triangle", "#D55E00"),
    "INSUFFICIENT": Look("INSUFFICIENT", "unknown", "cross", "#7a7a7a"),
}
STYLE = colours(STATE_LOOKS.values()) + ".normal{stroke:#3b4652;fill:#3b4652}line.normal{stroke-width:1.4}"


def state_keys(states: Iterable[str]) -> list[Key]:
    """A legend of the `states` that occur, each with how often."""
    held = list(states)
    return [
        Key(f"{look.title} ({held.count(state)})", look.css, look.shape, lined=False)
        for state, look in STATE_LOOKS.items()
        if state in held
    ]
