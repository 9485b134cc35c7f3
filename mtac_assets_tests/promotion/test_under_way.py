"""What the ledger says is still to be decided on live rows: every period ends once, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.promotion import under_way
from mtac_assets.provenance import ledger
from mtac_assets.provenance.ledger import Entry

ASKED = {"shadow": {"settings": {"days": 7}, "live_from": "2024-03-01"}}
ENDED = {"shadow": {"entry": 1, "live_from": "2024-03-01"}, "verdicts": [{"gate": "shadow", "passed": False}]}
LIVE = {"live_from": "2024-03-01"}


def told(*decisions: tuple[str, str] | tuple[str, str, Mapping[str, Any]]) -> list[Entry]:
    """Entries of a recipe, first to last: kind, model and evidence."""
    return [
        Entry(
            number,
            f"2024-03-{min(number, 30):02d}T00:00:00+00:00",
            "ada",
            kind,
            "floods",
            model,
            "",
            dict(*evidence),
            "",
        )
        for number, (kind, model, *evidence) in enumerate(decisions, 1)
    ]


def test_a_shadow_begins_and_ends_once():
    entries = told(("promote", "a", LIVE), ("shadow", "b", ASKED), ("shadow", "c", ASKED), ("refuse", "a"))
    assert [each.model_id for each in under_way.shadows(entries)] == ["b", "c"]
    assert under_way.shadows(entries)[0].settings.days == 7
    entries = told(("promote", "a", LIVE), ("shadow", "b", ASKED), ("shadow", "c", ASKED), ("refuse", "b", ENDED))
    assert [each.model_id for each in under_way.shadows(entries)] == ["c"]
    found = under_way.refused_in_shadow(entries, "b")
    assert found is not None
    assert found.sequence == 4
    assert under_way.refused_in_shadow(entries, "c") is None
    assert under_way.shadows([*entries, *told(("promote", "c", LIVE))[:1]]) == ()


def test_a_refusal_that_points_back_at_a_shadow_ends_none():
    again = {"verdicts": [{"gate": "shadow", "passed": False}]}
    assert under_way.refused_in_shadow(told(("promote", "a"), ("refuse", "b", again)), "b") is None


def test_a_champion_over_another_is_on_probation_and_each_look_counts():
    first = told(("promote", "a", LIVE))
    assert under_way.probation(first, "floods") is None, "nobody to go back to"
    assert under_way.probation(told(("promote", "a", LIVE), ("promote", "b")), "floods") is None, "an older entry"
    entries = told(("promote", "a", LIVE), ("promote", "b", LIVE), ("refuse", "c"))
    assert under_way.probation(entries, "floods") == under_way.Probation("b", "a", "2024-03-01", 0)
    entries = told(
        ("promote", "a", LIVE), ("promote", "b", LIVE), ("keep", "b", {"look": 1}), ("refuse", "a", {"look": 2})
    )
    found = under_way.probation(entries, "floods")
    assert found is not None
    assert found.looks == 2
    back = told(("promote", "a", LIVE), ("promote", "b", LIVE), ("rollback", "a", {"look": 1}))
    assert under_way.probation(back, "floods") is None, "it is where it came from"


def test_a_rollback_goes_back_one_promotion_at_a_time():
    promotions = [("promote", "a"), ("promote", "b"), ("promote", "c")]
    assert under_way.former_champion(told(*promotions)) == "b"
    assert under_way.former_champion(told(*promotions, ("rollback", "b"))) == "a"
    assert under_way.former_champion(told(*promotions, ("rollback", "b"), ("rollback", "a"))) is None


def test_the_person_behind_a_promotion_by_the_watch_is_whoever_asked():
    entries = told(("promote", "a", {"approved_by": "grace"}), ("promote", "b"))
    assert (under_way.approver(entries, "a"), under_way.approver(entries, "b")) == ("grace", "ada")


KINDS = st.sampled_from(["promote", "rollback", "shadow", "refuse", "keep", "challenger", "archive"])
EVIDENCE = {"promote": LIVE, "shadow": ASKED, "refuse": ENDED, "keep": {"look": 1}}


@given(st.lists(st.tuples(KINDS, st.sampled_from("abcd")), max_size=30))
def test_whatever_was_decided_no_champion_is_in_shadow_and_none_is_its_own_predecessor(
    decisions: list[tuple[str, str]],
):
    entries = told(*((kind, model, EVIDENCE.get(kind, {})) for kind, model in decisions))
    # The one door lets no champion into a shadow.
    sound = []
    for entry in entries:
        serving = ledger.champion(sound, "floods")
        if not (entry.kind == "shadow" and serving is not None and serving.model_id == entry.model_id):
            sound.append(entry)
    serving = ledger.champion(sound, "floods")
    found = under_way.probation(sound, "floods")
    if serving is not None:
        assert serving.model_id not in {each.model_id for each in under_way.shadows(sound)}
        assert under_way.former_champion(sound) != serving.model_id
    if found is not None:
        assert serving is not None
        assert (found.champion, found.predecessor == found.champion) == (serving.model_id, False)
