from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mtac_assets.provenance.lease import process_started
from mtac_assets.tracking.writer import Writer

NOON = datetime(2013, 7, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def alive(writer: Writer, after: timedelta = timedelta(0)) -> bool:
    return writer.alive(NOON, NOON + after, HOUR)


def test_this_process_lives_however_late_it_is() -> None:
    myself = Writer.from_document(Writer.myself().document())
    assert alive(myself)
    assert alive(myself, timedelta(days=3)), "a jump of the clock kills nobody"


def test_an_ended_process_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        writer = replace(Writer.myself(), pid=child.pid, started=process_started(child.pid))
        assert alive(writer)
        child.communicate(b"\n")
    assert not alive(writer)


def test_another_process_under_the_same_id_is_not_the_writer() -> None:
    myself = Writer.myself()
    assert myself.started is not None
    assert not alive(replace(myself, started=myself.started - 1))
    assert not alive(replace(myself, boot_id="an earlier boot"))


def test_on_another_host_a_writer_counts_as_alive_for_as_long_as_a_run_may_last() -> None:
    elsewhere = replace(Writer.myself(), host="another.example", boot_id="another")
    assert alive(elsewhere, timedelta(minutes=59))
    assert not alive(elsewhere, timedelta(minutes=61))
