"""What the ledger says is still to be decided on live rows: challengers in their shadow period, a champion on probation.

Pure functions of a recipe's entries: nothing else is kept anywhere, so whatever dies loses nothing. The days that count are days
of the data (event time), fixed when the period begins; the order of decisions is the ledger's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import ledger
from mtac_assets.provenance.ledger import Entry

if TYPE_CHECKING:
    from mtac_assets.spec.recipe import Shadow

PROMOTE, REFUSE, ROLLBACK = "promote", "refuse", "rollback"
SHADOW, KEEP = "shadow", "keep"
SHADOW_GATE = "shadow"
LIVE_FROM = "live_from"


@dataclass(frozen=True)
class InShadow:
    """A challenger that passed its gates at `entry` and is judged on the live days from `live_from` on."""

    model_id: str
    entry: Entry
    live_from: str
    document: dict[str, Any]

    @property
    def settings(self) -> Shadow:
        """The rules of the period as they were when it began: nobody changes them while looking at the days."""
        from mtac_assets.spec.recipe import Shadow

        return Shadow.model_validate(self.document)

    @property
    def days(self) -> int:
        return self.document["days"]


@dataclass(frozen=True)
class Probation:
    """A champion by promotion, and the one before it, compared on the live days from `live_from` on. `looks`: done so far."""

    champion: str
    predecessor: str
    live_from: str
    looks: int


def shadows(entries: Sequence[Entry]) -> tuple[InShadow, ...]:
    """The challengers in shadow, in the order in which they entered."""
    found: dict[str, InShadow] = {}
    for entry in entries:
        if entry.model_id is None:
            continue
        if entry.kind == SHADOW:
            asked = entry.evidence[SHADOW_GATE]
            found[entry.model_id] = InShadow(entry.model_id, entry, asked[LIVE_FROM], dict(asked["settings"]))
        elif entry.kind in (PROMOTE, ROLLBACK, "archive") or _concludes(entry):
            found.pop(entry.model_id, None)
    return tuple(found.values())


def refused_in_shadow(entries: Sequence[Entry], model_id: str) -> Entry | None:
    """The entry that refused the model on its live rows: it was judged, and is not judged again."""
    return next((entry for entry in entries if entry.model_id == model_id and _concludes(entry)), None)


def probation(entries: Sequence[Entry], recipe: str) -> Probation | None:
    """The champion's, where it was promoted over another one; a champion by rollback, or the first one, has none."""
    serving = ledger.champion(entries, recipe)
    if serving is None or serving.model_id is None or serving.kind != PROMOTE:
        return None
    before, live_from = former_champion(entries), serving.evidence.get(LIVE_FROM)
    if before is None or live_from is None:
        return None
    since = [entry for entry in entries if entry.sequence > serving.sequence and entry.kind in (KEEP, REFUSE)]
    looks = [entry.evidence["look"] for entry in since if "look" in entry.evidence]
    return Probation(serving.model_id, before, live_from, max(looks, default=0))


def former_champion(entries: Sequence[Entry]) -> str | None:
    """The champion that a rollback would return to: the newest before the present one that no rollback took back."""
    standing: list[str] = []
    present = None
    for entry in entries:
        if entry.model_id is None or entry.kind not in ledger.CHAMPION_KINDS:
            continue
        present = entry.model_id
        # A rollback undoes promotions one by one: what it led back to is not what it came from.
        if entry.kind == PROMOTE:
            standing.append(entry.model_id)
        elif standing:
            standing.pop()
    return next((model for model in reversed(standing) if model != present), None)


def approver(entries: Sequence[Entry], model_id: str) -> str:
    """Who asked for the newest promotion of a former champion; where live rows decided it, who asked for its shadow period."""
    made = next(entry for entry in reversed(entries) if entry.model_id == model_id and entry.kind == PROMOTE)
    return asked_by(made)


def asked_by(entry: Entry) -> str:
    """The person behind an entry: its actor, or where the watch wrote it, the one in whose stead it did."""
    return entry.evidence.get("approved_by", entry.actor)


def _concludes(entry: Entry) -> bool:
    """Written at the end of a shadow period; a later "no" that only points back at it is none."""
    return entry.kind == REFUSE and SHADOW_GATE in entry.evidence
