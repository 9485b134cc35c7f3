"""Telling the world: one JSON document, posted to every address of the environment's `webhooks`.

It never raises and never takes longer than its limit, however many addresses there are and whatever they do: what failed is
returned, for the caller's log. Belongs here: the message and its way. Which events are worth one is the caller's to say.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from mtac_assets.data.readers.uri import public_uri
from mtac_assets.spec import clock
from mtac_assets.spec.environment import WebhookUrl
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
SECONDS = 5.0


def notify(project: Project, kind: str, event: Mapping[str, Any], *, seconds: float = SECONDS) -> tuple[Finding, ...]:
    """Post `{"schema_version", "kind", "environment", "project", "at", "event"}` to every address, at the same time.

    Returns a finding for each address that did not take it within `seconds`; addresses are named without credentials.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "environment": project.environment.name,
        "project": project.package,
        "at": clock.timestamp(),
        "event": dict(event),
    }
    body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    urls, unread = addresses(project)
    answers: dict[str, str] = {}
    threads = [
        # A daemon thread: an address that answers drop by drop holds up neither this call nor the end of the process.
        threading.Thread(target=_post, args=(url, body, seconds, answers), daemon=True, name="webhook")
        for url in urls
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0.0))
    said = {url: answers.get(url, f"no answer within {seconds:g} s") for url in urls}
    return unread + tuple(_finding(url, problem) for url, problem in said.items() if problem)


def addresses(project: Project) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The addresses as they are at this moment, and a finding for each file that holds none."""
    urls: list[str] = []
    unread: list[Finding] = []
    for one in project.environment.webhooks:
        if isinstance(one, str):
            urls.append(one)
            continue
        try:
            found = Path(one.url_file).read_text(encoding="utf-8").strip()
            urls.append(TypeAdapter[str](WebhookUrl).validate_python(found))
            continue
        except OSError as error:
            words = error.strerror or "it cannot be read"
        except ValueError:  # what it holds is never told
            words = "it holds no http(s) address"
        remedy = "write the address there, readable for the services' user alone"
        unread.append(Finding(f"a webhook's file has no address: {words}", one.url_file, "one address", remedy))
    return tuple(urls), tuple(unread)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive elsewhere as a GET without its body."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, body: bytes, seconds: float, answers: dict[str, str]) -> None:
    """Put into `answers` what went wrong; an empty word where nothing did."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds):
            answers[url] = ""
    except urllib.error.HTTPError as error:
        with error:
            answers[url] = f"it answered {error.code} {error.reason}"
    except (OSError, ValueError) as error:  # refused, unknown, timed out; or an address that is none
        reason = getattr(error, "reason", error)
        answers[url] = f"it could not be reached: {type(reason).__name__}"


def _finding(url: str, problem: str) -> Finding:
    return Finding(
        f"a webhook was not told: {problem}",
        public_uri(url),
        "an address that answers 2xx to a POST of JSON",
        "correct `webhooks` in the environment's file; the line goes on without",
    )
