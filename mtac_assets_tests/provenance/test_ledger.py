"""The ledger: nothing is lost among writers, order survives a jumping clock, and every kind of tampering is named."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mtac_assets.provenance import ledger
from mtac_assets.provenance.ledger import LEDGER, Entry, LedgerMoved
from mtac_assets.spec import clock

NAME = LEDGER + "local"
WRITER = """
import sys
from pathlib import Path
from mtac_assets.provenance import ledger
from mtac_assets.provenance.git import Repository
where = Repository.at(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    ledger.append(where, "local", kind="note", recipe="r", model_id=None, actor=sys.argv[2], reason=str(number))
"""


def add(shop: Any, kind: str = "note", model_id: str | None = None, **more: Any) -> Entry:
    return ledger.append(
        shop.project, "local", kind=kind, recipe="demand", model_id=model_id, actor="ada", reason="because", **more
    )


@pytest.fixture
def five(shop: Any) -> Any:
    for number in range(5):
        add(shop, evidence={"number": number})
    return shop


def test_what_is_appended_is_read_back_in_order(shop: Any) -> None:
    written = [add(shop, kind="promote", model_id="demand-1", evidence={"gates": [True]}), add(shop)]
    assert ledger.entries(shop.project, "local") == written
    assert [entry.sequence for entry in written] == [1, 2]
    assert written[1].previous == written[0].digest
    assert ledger.history(shop.project, "local", "other") == []
    assert ledger.entries(shop.project, "production") == []
    assert ledger.verify(shop.project, "local") == []


def test_four_writers_at_once_lose_nothing(shop: Any) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(shop.root), f"writer {number}", "5"]) for number in range(4)
    ]
    seen = 0
    while any(writer.poll() is None for writer in writers):  # and one who reads from before the first entry on
        entries = ledger.entries(shop.project, "local")
        assert len(entries) >= seen
        assert ledger.verify(shop.project, "local") == []
        seen = len(entries)
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    found = ledger.entries(shop.project, "local")
    assert [entry.sequence for entry in found] == list(range(1, 21))
    for number in range(4):
        assert [entry.reason for entry in found if entry.actor == f"writer {number}"] == list("01234")
    assert ledger.verify(shop.project, "local") == []


def test_a_decision_on_an_old_reading_is_refused(shop: Any) -> None:
    empty = ledger.head(shop.project, "local")
    add(shop, expect=empty)
    with pytest.raises(LedgerMoved):
        add(shop, expect=empty)
    assert len(ledger.entries(shop.project, "local")) == 1


def test_the_champion_at_a_moment_even_if_the_clock_jumped_back(shop: Any) -> None:
    noon = datetime(2024, 3, 1, 12, tzinfo=UTC)
    try:
        for hours, kind, model_id in (
            (0, "promote", "demand-a"),
            (-24, "promote", "demand-b"),
            (2, "rollback", "demand-a"),
        ):
            moment = noon + timedelta(hours=hours)
            clock.set_clock(lambda moment=moment: moment)
            add(shop, kind=kind, model_id=model_id)
    finally:
        clock.set_clock(None)

    def champion(moment: datetime | None) -> str | None:
        entry = ledger.champion_at(shop.project, "local", "demand", moment)
        return entry.model_id if entry else None

    assert champion(noon - timedelta(hours=1)) is None
    assert champion(noon) == "demand-b"  # made after a, whatever its clock said
    assert champion(noon + timedelta(hours=3)) == champion(None) == "demand-a"
    assert ledger.statuses(ledger.entries(shop.project, "local")) == {"demand-a": "champion", "demand-b": "archived"}


def rewrite(shop: Any, edit: Any, *, keep_chain: bool) -> None:
    """Write the whole ledger anew with `edit` applied to its documents, as somebody with write access might.

    `keep_chain`: the forger also recomputes the digests, so that the chain agrees with itself.
    """
    from mtac_assets.provenance.git import Repository

    repository = Repository.at(shop.root)
    documents = edit([entry.document() for entry in ledger.entries(shop.project, "local")])
    parent, previous = None, ""
    for document in documents:
        if keep_chain:
            document["previous"] = previous
        previous = ledger.entry_of(document, "").digest
        line = json.dumps(document, sort_keys=True, separators=(",", ":"))
        blob = repository.blobs([json.dumps(document).encode()])[0]
        tree = repository.text("mktree", data=f"100644 blob {blob}\tentry.json\n".encode())
        parent = repository.commit(tree, [parent] if parent else [], f"{document['sequence']}\n\n{line}\n")
    shop.git("update-ref", NAME, str(parent))
    # The forger has no wish to leave tracks.
    shop.git("reflog", "expire", "--expire=all", "--all")


def edited(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    documents[2]["reason"] = "another reason"
    return documents


def first_bad(shop: Any) -> tuple[int, str] | None:
    findings = ledger.verify(shop.project, "local")
    return (int(findings[0].where.rpartition(" ")[2]), findings[0].error) if findings else None


def test_an_edited_entry_is_named_by_the_chain(five: Any) -> None:
    rewrite(five, edited, keep_chain=False)
    bad = first_bad(five)
    assert bad is not None
    assert bad[0] == 3
    assert "edited" in bad[1]


def test_a_dropped_entry_is_named(five: Any) -> None:
    rewrite(five, lambda documents: documents[:2] + documents[3:], keep_chain=False)
    bad = first_bad(five)
    assert bad is not None
    assert bad[0] == 3
    assert "dropped" in bad[1] or "edited" in bad[1]


def test_a_chain_rewritten_whole_is_named_by_the_anchor_in_a_models_commit(five: Any) -> None:
    five.stock()
    model_id = five.record()
    rewrite(five, edited, keep_chain=True)
    bad = first_bad(five)
    assert bad is not None
    assert bad[0] == 5
    assert model_id in bad[1]


def test_a_ledger_cut_short_is_named_by_the_anchor(five: Any) -> None:
    five.stock()
    five.record()
    rewrite(five, lambda documents: documents[:3], keep_chain=True)
    assert first_bad(five) is not None
    assert first_bad(five)[0] == 4  # pyright: ignore[reportOptionalSubscript]


def test_a_deleted_ledger_is_named_by_the_anchor(five: Any) -> None:
    five.stock()
    five.record()
    five.git("update-ref", "-d", NAME)
    assert first_bad(five)[0] == 1  # pyright: ignore[reportOptionalSubscript]


def test_a_reference_put_back_is_named_by_the_repositorys_own_record(five: Any) -> None:
    five.git("update-ref", NAME, f"{NAME}~2")
    bad = first_bad(five)
    assert bad is not None
    assert bad[0] == 4
    assert "cut off" in bad[1]


def test_a_fork_is_named_where_it_leaves_the_copy_at_the_remote(five: Any) -> None:
    five.git("update-ref", "refs/mtac/remotes/origin/ledger/local", NAME)
    rewrite(five, edited, keep_chain=True)
    bad = first_bad(five)
    assert bad is not None
    assert bad[0] == 3
    assert "origin" in bad[1]


def test_a_message_that_differs_from_its_file_is_named(five: Any) -> None:
    tree = five.git("rev-parse", f"{NAME}~1^{{tree}}")
    message = five.git("log", "-1", "--format=%B", NAME)
    forged = five.git("-c", "user.name=x", "-c", "user.email=x", "commit-tree", tree, "-p", f"{NAME}~1", "-m", message)
    five.git("update-ref", NAME, forged)
    assert first_bad(five) is not None
    assert first_bad(five)[0] == 5  # pyright: ignore[reportOptionalSubscript]


def test_entries_and_model_commits_are_signed_where_git_is_configured_to(stocked: Any, tmp_path: Any) -> None:
    shop = stocked
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, value in (("gpg.format", "ssh"), ("user.signingkey", str(key)), ("commit.gpgsign", "true")):
        shop.git("config", name, value)
    entry = add(shop)
    assert "gpgsig" in shop.git("cat-file", "commit", entry.commit)
    assert "gpgsig" in shop.git("cat-file", "commit", f"refs/mtac/models/{shop.record()}")
    add(shop)
    assert ledger.verify(shop.project, "local") == []


@pytest.mark.fault
def test_an_entry_that_finds_no_room_is_not_there_and_the_next_one_is(shop: Any) -> None:
    """The system refuses every write beyond a size, as it does on a full volume (docs/faults.md, 8)."""
    add(shop)
    before = shop.git("rev-parse", NAME)
    code = WRITER.replace("reason=str(number)", "reason=str(number), evidence={'much': str(list(range(200_000)))}")
    command = ["prlimit", "--fsize=65536", sys.executable, "-c", code, str(shop.root), "ada", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "GitError" in done.stderr
    assert shop.git("rev-parse", NAME) == before
    assert ledger.verify(shop.project, "local") == []
    assert add(shop).sequence == 2
    assert ledger.verify(shop.project, "local") == []
