"""Whether a service answers, asked over HTTP on loopback. Each function answers yes or no and never raises."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 5.0
DAEMONS_QUERY = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 2xx."""
    try:
        with _opener().open(url, timeout=TIMEOUT_SECONDS) as response:
            return 200 <= response.status < 300
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def daemons_healthy(webserver: str) -> bool:
    """Whether every daemon that the instance requires has a fresh heartbeat, as the web server sees it."""
    request = urllib.request.Request(
        f"{webserver}/graphql",
        data=json.dumps({"query": DAEMONS_QUERY}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
            answer = json.loads(response.read())
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return False
    data = answer.get("data") or {}
    health = ((data.get("instance") or {}).get("daemonHealth") or {}).get("allDaemonStatuses") or []
    required = [status for status in health if status["required"]]
    return bool(required) and all(status["healthy"] for status in required)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is never asked through a proxy
