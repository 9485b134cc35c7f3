"""The proxy without one of its secrets: it says which, lets nobody in, and the doctor says what to do."""

from __future__ import annotations

import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mtac_assets.doctor import server
from mtac_assets.spec.environment import Postgres
from mtac_assets_tests.deployment import Deployment
from mtac_assets_tests.running import until
from mtac_assets_tests.served import served
from mtac_assets_tests.tides import make_project

pytestmark = pytest.mark.fault


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    folder = Path(tempfile.mkdtemp(prefix="mtac-proxy-"))
    made = Deployment(folder, folder)
    made.make_secrets({"users": {"ada": "acts"}, "viewers": {"ada": "acts"}}, "secret")
    try:
        yield made
    finally:
        made.stop_all()
        shutil.rmtree(folder)


def status(deployment: Deployment, path: str) -> int | None:
    """What the proxy answers; None where it does not."""
    context = ssl.create_default_context(cafile=str(deployment.secrets["tls_certificate"]))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(deployment.url + path, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@pytest.mark.parametrize("missing", ["tls_certificate", "tls_key"])
def test_without_certificate_or_key_it_does_not_start(deployment: Deployment, missing: str, tmp_path: Path) -> None:
    deployment.secrets[missing].unlink()
    deployment.start("proxy")
    assert deployment.processes["proxy"].wait(timeout=30) != 0
    assert missing in deployment.log("proxy")
    settings = Postgres(host="127.0.0.1", port=1, user="mtac", password_file="/nothing")
    project = served(make_project(tmp_path / "coast"), tmp_path, settings)
    assert project.environment.server is not None
    page = project.environment.server.model_copy(update={"page": deployment.url})
    project = replace(project, environment=project.environment.model_copy(update={"server": page}))
    (worry,) = server.proxy(project).worries
    assert "does not answer" in worry.error
    assert "without a certificate it does not start" in worry.remedy


def test_without_log_ins_nobody_comes_in(deployment: Deployment) -> None:
    deployment.secrets["users"].unlink()
    deployment.start("proxy")
    until(lambda: status(deployment, "/healthz") == 200, "the proxy to be up", 30)
    asked = urllib.request.Request(deployment.url + "/", headers={"Authorization": "Basic YWRhOmFjdHM="})
    context = ssl.create_default_context(cafile=str(deployment.secrets["tls_certificate"]))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(asked, timeout=10)
    assert refused.value.code in (403, 500)
    assert "users" in deployment.log("proxy")
    assert status(deployment, "/view/") == 401, "the other door is as it was"
