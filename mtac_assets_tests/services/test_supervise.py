from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mtac_assets.services import supervise as supervising
from mtac_assets.services.supervise import Service, ServiceFailed, supervise

Processes = Callable[[], list[psutil.Process]]
ROOT = Path(__file__).resolve().parents[2]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_services_answer_when_ready_and_none_is_left_after_the_signal(
    service: Callable[..., Service], processes: Processes, nothing_left: Callable[[], None], number: signal.Signals
) -> None:
    both = [service("one"), service("two")]
    seen: list[str] = []

    def ready() -> None:
        seen.extend(get(str(entry.url)) for entry in both)
        assert len(processes()) == 6  # for each: guard, server, the server's child
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    supervise(both, ready=ready, tell=pytest.fail)
    assert len(seen) == 2
    assert signal.getsignal(number) == before
    nothing_left()
    assert "asked" in both[0].log.read_text()


def test_a_service_that_dies_is_reported_and_started_again(
    service: Callable[..., Service], nothing_left: Callable[[], None]
) -> None:
    entry = service()
    told: list[str] = []

    def kill_then_wait_for_the_next() -> None:
        first = get(str(entry.url))
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            get(f"{entry.url}/die")
        while not entry.healthy():
            time.sleep(0.1)
        assert get(str(entry.url)) != first
        interrupt()

    supervise([entry], ready=threading.Thread(target=kill_then_wait_for_the_next, daemon=True).start, tell=told.append)
    assert len(told) == 1
    assert "server ended with exit code 7" in told[0]
    nothing_left()


def test_a_service_that_keeps_dying_brings_all_down_with_the_reason(
    service: Callable[..., Service], nothing_left: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "PAUSES", (0.05, 0.05))
    fragile, steady = service("fragile"), service("steady")
    flag = fragile.folder / "broken"
    code = f"import os, sys\nif os.path.exists({str(flag)!r}): print('out of tides'); sys.exit(3)\n"
    fragile = Service(
        "fragile",
        [*fragile.command[:2], code + fragile.command[2], fragile.command[3]],
        fragile.folder,
        fragile.log,
        {},
        fragile.healthy,
        fragile.url,
    )
    told: list[str] = []

    def break_it() -> None:
        flag.touch()
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            get(f"{fragile.url}/die")

    with pytest.raises(ServiceFailed) as caught:
        supervise([fragile, steady], ready=break_it, tell=told.append)
    (finding,) = caught.value.findings
    assert "3 times in a row" in finding.error
    assert "out of tides" in finding.error
    assert finding.where == str(fragile.log)
    assert caught.value.exit_code == 1
    assert len(told) == 2
    nothing_left()


def test_a_service_that_never_answers_is_an_error_and_the_others_go(
    service: Callable[..., Service], nothing_left: Callable[[], None]
) -> None:
    stillborn = service("stillborn", "import sys\nprint('no such tide')\nsys.exit(4)\n# {mark} {port}")
    with pytest.raises(ServiceFailed, match="exit code 4 before it answered") as caught:
        supervise([service("steady"), stillborn], ready=lambda: pytest.fail("nothing is ready"), tell=pytest.fail)
    assert "no such tide" in caught.value.findings[0].error
    nothing_left()


def test_a_service_deaf_to_sigterm_is_ended_all_the_same(
    service: Callable[..., Service], nothing_left: Callable[[], None]
) -> None:
    from mtac_assets_tests.services.conftest import SERVER

    deaf = service("deaf", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER)
    supervise([deaf], ready=interrupt, tell=pytest.fail)
    nothing_left()


@pytest.mark.fault
@pytest.mark.parametrize("victim", ["supervisor", "guard"])
def test_kill_minus_nine_leaves_no_orphan(
    service: Callable[..., Service], processes: Processes, nothing_left: Callable[[], None], tmp_path: Path, victim: str
) -> None:
    entry = service()
    script = tmp_path / "up.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom mtac_assets.services import health\n"
        "from mtac_assets.services.supervise import Service, supervise\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"service = Service('server', {list(entry.command)!r}, folder, folder / 'log', {{}},\n"
        f"                  lambda: health.answers({entry.url!r}))\n"
        "supervise([service], ready=lambda: print('ready', flush=True), tell=lambda text: sys.exit(text))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        assert len(processes()) == 3
        if victim == "supervisor":
            parent.kill()
        else:
            guard = next(process for process in processes() if any("guard.py" in part for part in process.cmdline()))
            server = guard.children()[0]
            guard.kill()
            server.wait(20)
            parent.send_signal(signal.SIGKILL)
            for left in processes():  # the server's own child, in a session of its own, has lost its guard
                assert "time.sleep(600)" in " ".join(left.cmdline())
                left.kill()
    nothing_left()


def test_chores_are_done_while_services_run(
    service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, nothing_left: Callable[[], None]
) -> None:
    monkeypatch.setattr(supervising, "CHORE_SECONDS", 0.05)
    done: list[float] = []

    def chore() -> None:
        done.append(time.monotonic())
        if len(done) == 2:
            interrupt()

    supervise([service()], ready=lambda: None, tell=pytest.fail, chore=chore)
    assert len(done) >= 2
    nothing_left()
