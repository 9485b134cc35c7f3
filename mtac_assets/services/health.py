"""Whether a service answers, asked over HTTP or gRPC, or by a file that it touches. Each function answers yes or no and never raises."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 5.0
DAEMONS_QUERY = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
LOCATIONS_QUERY = "{ locationStatusesOrError { ... on WorkspaceLocationStatusEntries { entries { loadStatus } } } }"


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 2xx."""
    try:
        with _opener().open(url, timeout=TIMEOUT_SECONDS) as response:
            return 200 <= response.status < 300
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def touched(path: Path, seconds: float) -> bool:
    """Whether the file was touched within so many seconds."""
    try:
        return time.time() - path.stat().st_mtime < seconds
    except OSError:
        return False


def serves(address: str, service: str) -> bool:
    """Whether the gRPC server at `address` says that it serves `service`."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        question = health_pb2.HealthCheckRequest(service=service)
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its methods are made at run time
            answer = stub.Check(question, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def daemons_healthy(webserver: str) -> bool:
    """Whether every daemon that the instance requires has a fresh heartbeat, as the web server sees it."""
    data = _asked(webserver, DAEMONS_QUERY)
    health = ((data.get("instance") or {}).get("daemonHealth") or {}).get("allDaemonStatuses") or []
    required = [status for status in health if status["required"]]
    return bool(required) and all(status["healthy"] for status in required)


def locations_loaded(webserver: str) -> bool:
    """Whether the web server has tried all its code locations; one with an error is loaded too: its page shows the error."""
    entries = (_asked(webserver, LOCATIONS_QUERY).get("locationStatusesOrError") or {}).get("entries") or []
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _asked(webserver: str, query: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{webserver}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
            answer = json.loads(response.read())
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return {}
    return answer.get("data") or {}


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no service of ours is asked through a proxy
