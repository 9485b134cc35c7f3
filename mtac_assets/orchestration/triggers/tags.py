"""What a run carries of its trigger, as tags. Run records are what outlives a daemon, so the triggers' memory is here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtac_assets.provenance.digest import canonical_json
from mtac_assets.spec import clock

TRIGGER_TAG = "mtac/trigger"  # schedule, arrival, upstream, drift, performance or person
EVIDENCE_TAG = "mtac/evidence"  # JSON: what made the trigger fire
REASON_TAG = "mtac/reason"  # a sentence for people
ACTOR_TAG = "mtac/actor"
AS_OF_TAG = "mtac/as_of"
SUBJECT_TAG = "mtac/subject"  # the fingerprint that is to be trained, or what stands for it while data is missing
REQUESTED_TAG = "mtac/requested_at"  # by the one clock, which Dagster's own times do not follow
WORK_TAG = ".dagster/mtac-work"  # JSON: partition key to digest of what it is to be made from; the UI does not show it
RETRIES_TAG = (
    "dagster/max_retries"  # "0" on what asks for the next attempt itself: Dagster starts no run of its own for it then
)

SCHEDULE, ARRIVAL, UPSTREAM, PERSON = "schedule", "arrival", "upstream", "person"
DRIFT, PERFORMANCE, WATCH = "drift", "performance", "watch"


def request_tags(trigger: str, *, evidence: Mapping[str, Any], reason: str) -> dict[str, str]:
    """Tags of a run that `trigger` asks for now."""
    return {
        TRIGGER_TAG: trigger,
        EVIDENCE_TAG: canonical_json(dict(evidence)).decode(),
        REASON_TAG: reason,
        REQUESTED_TAG: clock.timestamp(),
        RETRIES_TAG: "0",
    }


def person_tags(by: str, reason: str) -> dict[str, str]:
    """Tags of a run that a person asks for; what they did not say has none."""
    return {tag: text for tag, text in ((ACTOR_TAG, by.strip()), (REASON_TAG, reason.strip())) if text}


def evidence_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The evidence that a run carries; empty where it carries none."""
    return json.loads(tags[EVIDENCE_TAG]) if EVIDENCE_TAG in tags else {}
