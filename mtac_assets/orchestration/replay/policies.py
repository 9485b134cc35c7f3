"""A policy is data: what is laid over a recipe's `triggers`, and nothing else. Models of one fingerprint are the same in all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtac_assets.spec.errors import Finding, MtacError, raise_all

SECTION = "triggers."
# What starts trainings, as it is where a policy says nothing of it; and what it is where the policy of that name is played and
# the recipe has no such section: the section with all its defaults.
OFF = {"schedule": "null", "upstream": "false", "drift": "null", "performance": "null"}
DEFAULTS = {"drift": "drift.window_days=1", "performance": "performance.window_days=7"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Policy:
    """`keeps`: sections of the recipe's triggers that stay as they are. `sets`: overrides laid over the rest, `triggers.` included."""

    name: str
    about: str
    keeps: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()

    def overrides(self, triggers: Mapping[str, Any]) -> tuple[str, ...]:
        """Overrides of a recipe whose section `triggers` has these fields."""
        kept = [name for name in self.keeps if triggers.get(name)]
        missing = {name: DEFAULTS[name] for name in self.keeps if name not in kept and self.name == name}
        # A section that is only changed in part keeps its other fields: the time zone of a schedule, say.
        changed = {text.removeprefix(SECTION).partition("=")[0].partition(".")[0] for text in self.sets}
        said = {*kept, *missing, *changed}
        off = [f"{name}={value}" for name, value in OFF.items() if name not in said]
        return ("triggers.active=true", *(SECTION + text for text in (*off, *missing.values())), *self.sets)

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "about": self.about, "keeps": list(self.keeps), "sets": list(self.sets)}


BUILT_IN = {
    policy.name: policy
    for policy in (
        Policy("never", "the first champion serves to the end"),
        Policy("weekly", "a new model every Monday", sets=("triggers.schedule.cron=0 3 * * 1",)),
        Policy("drift", "a new model when the inputs drift", keeps=("drift",)),
        Policy("performance", "a new model when live loss is worse than in the test", keeps=("performance",)),
        Policy("nightly", "a new model every night", sets=("triggers.schedule.cron=0 3 * * *",)),
        Policy("recipe", "the triggers as the recipe declares them", keeps=tuple(OFF)),
    )
}
USUAL = ("never", "nightly", "weekly", "drift", "performance")


def chosen(texts: Sequence[str]) -> tuple[Policy, ...]:
    """The policies that are asked for, each once; the usual ones where none is. Raises MtacError with every finding."""
    findings: list[Finding] = []
    found: dict[str, Policy] = {}
    for text in texts or USUAL:
        try:
            policy = parse(text)
        except MtacError as error:
            findings += error.findings
            continue
        if policy.name in found:
            findings.append(_wrong(text, f"the policy {policy.name} is there twice", "give each a name of its own"))
        found[policy.name] = policy
    raise_all(MtacError, findings)
    return tuple(found.values())


def parse(text: str) -> Policy:
    """A policy by its name, or `NAME:triggers.FIELD=VALUE;triggers.FIELD=VALUE` with all that is not named switched off."""
    name, colon, written = text.partition(":")
    if not colon:
        if name not in BUILT_IN:
            known = ", ".join(BUILT_IN)
            raise MtacError(
                _wrong(text, f"there is no policy {name!r}", f"choose one of {known}, or define it: {EXAMPLE}")
            )
        return BUILT_IN[name]
    sets = tuple(part.strip() for part in written.split(";") if part.strip())
    findings = list(_faults(text, name, sets))
    raise_all(MtacError, findings)
    return Policy(name, "; ".join(part.removeprefix(SECTION) for part in sets), sets=sets)


EXAMPLE = "'monthly:triggers.schedule.cron=0 3 1 * *'"


def _faults(text: str, name: str, sets: Sequence[str]) -> Iterable[Finding]:
    if not _NAME.fullmatch(name):
        yield _wrong(text, f"{name!r} is no name of a policy", "small letters, digits and underscores")
    if name in BUILT_IN:
        yield _wrong(text, f"{name} is the name of a built-in policy", "give yours another name")
    if not sets:
        yield _wrong(text, "it says nothing", f"write it like {EXAMPLE}")
    for part in sets:
        if not part.startswith(SECTION) or "=" not in part:
            yield _wrong(text, f"`{part}` is no override of a trigger", f"write it like {EXAMPLE}")


def _wrong(text: str, error: str, remedy: str) -> Finding:
    return Finding(error, f"--policy {text}", "a built-in policy, or NAME:triggers.FIELD=VALUE;...", remedy)
