"""Webhooks over real sockets: one that listens, and every way in which one does not."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from mtac_assets.monitoring.webhook import notify
from mtac_assets.spec.environment import Environment, Limits, Promotion, WebhookFile
from mtac_assets.spec.project import Project
from mtac_assets_tests.free_ports import free_port


class Server(ThreadingHTTPServer):
    """Answers with a status and keeps what it was sent."""

    received: list[tuple[str, dict]]
    status: int


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        pytest.fail("a redirected POST became a GET")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.received, made.status = [], 204
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Project]:
    def make(*webhooks: str) -> Project:
        environment = Environment(
            schema_version=1,
            name="local",
            state=".mtac",
            limits=Limits(run_seconds=60),
            promotion=Promotion(branches=("*",), require_clean=False, require_approval=False),
            webhooks=webhooks,
        )
        return Project(tmp_path, "coast", environment)

    return make


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/hook"


def test_an_event_arrives_as_json(server: Server, told: Callable[..., Project]) -> None:
    assert notify(told(address(server)), "alarm", {"recipe": "floods", "columns": ["Pegelhöhe"]}) == ()
    ((kind, document),) = server.received
    assert kind == "application/json"
    assert document["event"] == {"recipe": "floods", "columns": ["Pegelhöhe"]}
    assert (document["schema_version"], document["kind"], document["project"]) == (1, "alarm", "coast")


@pytest.mark.parametrize(("status", "said"), [(500, "500"), (404, "404"), (302, "302")])
def test_a_refusal_is_a_finding(server: Server, told: Callable[..., Project], status: int, said: str) -> None:
    server.status = status
    (finding,) = notify(told(address(server)), "alarm", {})
    assert said in finding.error
    assert len(server.received) == 1


def test_nobody_there_and_no_secret_is_told(server: Server, told: Callable[..., Project]) -> None:
    nobody = f"http://user:secret@127.0.0.1:{free_port()}/hook?token=hidden"
    (finding,) = notify(told(nobody, address(server)), "alarm", {})
    assert "could not be reached" in finding.error
    assert not {"secret", "hidden"} & set(str(finding.document()).replace("@", " ").replace("=", " ").split())
    assert len(server.received) == 1  # the other one heard of it all the same


def test_addresses_that_never_answer_cost_the_limit_once(told: Callable[..., Project]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        silent = [f"http://127.0.0.1:{each.getsockname()[1]}/" for each in (first, second)]
        began = time.monotonic()
        findings = notify(told(*silent), "alarm", {}, seconds=0.5)
        assert time.monotonic() - began < 2
    assert len(findings) == 2


def test_an_address_that_answers_drop_by_drop_holds_up_nothing(told: Callable[..., Project]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100:
                    try:
                        connection.send(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        (finding,) = notify(told(f"http://127.0.0.1:{listening.getsockname()[1]}/"), "alarm", {}, seconds=0.5)
        assert time.monotonic() - began < 2
    assert "no answer within 0.5 s" in finding.error


@pytest.mark.parametrize("url", ["ftp://example.org/x", "example.org/hook", "http://", "https:///x", "http://a b/"])
def test_only_addresses_of_the_web(told: Callable[..., Project], url: str) -> None:
    with pytest.raises(ValidationError):
        told(url)


def test_an_address_that_is_a_secret_is_read_from_its_file_at_every_alarm(
    told: Callable[..., Project], tmp_path: Path
) -> None:
    file = tmp_path / "webhook"
    where = told(WebhookFile(url_file=str(file)))
    assert "No such file" in notify(where, "alarm", {})[0].error
    file.write_text("a token that is no address\n")
    (finding,) = notify(where, "alarm", {})
    assert "no http(s) address" in finding.error
    assert "token" not in str(finding)
    file.write_text("http://127.0.0.1:1/token?key=secret\n")
    (finding,) = notify(where, "alarm", {})
    assert "could not be reached" in finding.error
    assert "secret" not in str(finding)
