"""Small real services: an HTTP server with a child of its own, started and ended as `mtac up` does with its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from mtac_assets.services import health
from mtac_assets.services.supervise import Service
from mtac_assets_tests.free_ports import free_port

SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {mark!r}], start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(7)
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *args): print("asked", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """A word in the command line of every process of the test's services."""
    return f"services-of-{tmp_path.name}-{time.monotonic_ns()}"


@pytest.fixture
def service(tmp_path: Path, mark: str) -> Callable[..., Service]:
    """A service that answers and has a child in a session of its own, as code servers and workers are."""

    def make(name: str = "server", code: str = SERVER) -> Service:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-c", code.format(mark=mark, port=port), mark]
        return Service(name, command, tmp_path, tmp_path / f"{name}.log", {}, partial(health.answers, url), url)

    return make


@pytest.fixture
def processes(mark: str) -> Callable[[], list[psutil.Process]]:
    """All processes of the test's services that are there now."""

    def find() -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE
            and any(mark in part for part in process.info["cmdline"] or [])
        ]

    return find


@pytest.fixture
def nothing_left(processes: Callable[[], list[psutil.Process]]) -> Callable[[], None]:
    """Fails unless every process of the test's services ends within some seconds."""

    def check(seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while (left := processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"still there: {left}"

    return check
