"""An alarm is told once, however long it lasts, and asks for a challenger whether anybody listens or not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest

from mtac_assets.provenance import ledger
from mtac_assets.spec.project import find_project
from mtac_assets_tests.free_ports import free_port
from mtac_assets_tests.tides import write_day

pytestmark = pytest.mark.slow
SERVING = "floods-0123456789ab"
WATCHED = "  drift: {}\n  performance: {window_days: 3, min_rows: 10}\n  cooldown_hours: 0\n"


class Listener(ThreadingHTTPServer):
    events: list[dict]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Listener)
        self.server.events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["event"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener(("127.0.0.1", 0), Handler) as made:
        made.events = []
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def alarmed(daemon, listener: Listener):
    """Floods with a champion by the ledger, days to train on, one webhook that listens and one that is dead."""
    project = daemon.project
    recipe = project.recipes()["floods"]
    days = "train_days: 20, validate_days: 1, test_days: 3"  # drift asks for a history of 20 windows
    text = recipe.read_text().replace("train_days: 5, validate_days: 1, test_days: 2", days)
    recipe.write_text(text.replace("  cooldown_hours: 6\n", WATCHED))
    dataset = project.datasets()["tides"]
    dataset.write_text(dataset.read_text().replace("end: 2024-01-14", "end: 2024-01-31"))
    urls = [f"http://127.0.0.1:{port}/hook" for port in (listener.server_address[1], free_port())]
    environment = project.root / project.package / "environments" / "local.yaml"
    environment.write_text(environment.read_text() + f"webhooks: {json.dumps(urls)}\n")
    daemon.project = find_project(project.root)
    daemon.start_again()
    for offset in range(31):
        write_day(project.root, date(2024, 1, 1) + timedelta(days=offset))
    ledger.append(project, "local", kind="promote", recipe="floods", model_id=SERVING, actor="ada", reason="the first")
    return daemon


def verdict(daemon, kind: str, state: str, last_day: str, **said: str) -> None:
    """What the asset's check says of a day."""
    words = {"state": state, "Model ID": SERVING, "last day": last_day, "says": f"{state} on {last_day}", **said}
    daemon.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["floods", kind]),
            check_name=f"no_{kind}_alarm",
            passed=state != "ALARM",
            metadata={name: dg.MetadataValue.text(value) for name, value in words.items()},
        )
    )


def test_an_alarm_that_lasts_is_told_once_and_the_next_one_again(alarmed, listener: Listener) -> None:
    for last_day in ("2024-02-03", "2024-02-04", "2024-02-05"):
        verdict(alarmed, "drift", "ALARM", last_day, since="2024-02-03")
        found = alarmed.tick("floods_alarm")
        (request,) = found.run_requests
        assert request.tags["mtac/trigger"] == "drift"
        assert json.loads(request.tags["mtac/evidence"])["alarms"]["drift"]["last_day"] == last_day
    assert [(event["alarm"], event["since"]) for event in listener.events] == [("drift", "2024-02-03")]

    verdict(alarmed, "performance", "ALARM", "2024-02-05", since="2024-02-03")
    alarmed.tick("floods_alarm")
    alarmed.start_again()
    alarmed.tick("floods_alarm")
    assert [event["alarm"] for event in listener.events] == ["drift", "performance"], (
        "each kind once, whoever asks again"
    )

    for kind in ("drift", "performance"):
        verdict(alarmed, kind, "OK", "2024-02-06")
    assert "no alarm" in alarmed.tick("floods_alarm").skip_message
    verdict(alarmed, "drift", "ALARM", "2024-02-08", since="2024-02-08")
    assert alarmed.tick("floods_alarm").run_requests
    assert listener.events[2:] == [
        {
            "recipe": "floods",
            "alarm": "drift",
            "state": "ALARM",
            "model_id": SERVING,
            "last_day": "2024-02-08",
            "since": "2024-02-08",
            "says": "ALARM on 2024-02-08",
        }
    ]
