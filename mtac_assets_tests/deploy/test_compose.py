"""Every service of compose.yaml, run as it says: a line through the daemon while each service is killed once, seen through the proxy."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from mtac_assets.data.partitions import present
from mtac_assets.orchestration.triggers.line_job import line_config
from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.snapshot import private_index, take_snapshot
from mtac_assets_tests import running
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.deployment import DIGEST, Deployment
from mtac_assets_tests.tides import make_project

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(900)]
PASSWORD = "only in its file: %/@"
PEOPLE = {"users": {"ada": "acts"}, "viewers": {"ada": "acts", "vera": "looks"}}
ARRIVAL = "arrival: {active: true, every_seconds: 2, settle_seconds: 1, attempts: 5, backoff_minutes: 0.05}\n"
FLIGHTS = ("flight_delays", "nyc_flights", "nyc_weather")
DAYS, AS_OF = 9, "2024-01-08"  # just enough for one model
RUNS = "{ runsOrError { ... on Runs { results { runId jobName status } } } }"
LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on UnauthorizedError { message } } }"""


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployment]:
    folder = Path(tempfile.mkdtemp(prefix="mtac-deployment-"))
    made = make_project(folder / "source")
    landing = folder / "incoming"
    landing.mkdir()
    (made.root / "incoming").rename(folder / "producer")
    dataset = made.datasets()["tides"]
    dataset.write_text(dataset.read_text().replace("url: incoming", f"url: file://{landing}") + ARRIVAL)
    for name in FLIGHTS:
        shutil.copytree(ROOT / "mtac_assets" / "defs" / name, made.package_folder / "defs" / name)
    deployment = Deployment(folder, made.root)
    deployment.build()
    deployment.make_secrets(PEOPLE, PASSWORD)
    try:
        print(f"all healthy after {deployment.start_all():.1f} s")
        yield deployment
    finally:
        deployment.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


def asked(
    deployed: Deployment, path: str, person: str | None = None, body: Any = None, **headers: str
) -> tuple[int, bytes]:
    """Status and content of one request through the proxy."""
    words = PEOPLE["viewers"] | {"eve": "guesses"}
    if person is not None:
        word = base64.b64encode(f"{person}:{words[person]}".encode()).decode()
        headers["Authorization"] = f"Basic {word}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(
        deployed.url + path, json.dumps(body).encode() if body is not None else None, headers
    )
    context = ssl.create_default_context(cafile=str(deployed.secrets["tls_certificate"]))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def launch(deployed: Deployment, job: str, config: Any = None, *tags: tuple[str, str]) -> dict[str, Any]:
    """The page's question that launches a job."""
    selector = {"repositoryLocationName": deployed.project.package, "repositoryName": "__repository__", "jobName": job}
    labels = {"tags": [{"key": key, "value": value} for key, value in tags]}
    params = {"selector": selector, "runConfigData": config or {}, "executionMetadata": labels}
    return {"query": LAUNCH, "variables": {"params": params}}


def runs(deployed: Deployment) -> list[dict[str, str]]:
    """The runs as the page shows them; none while the page is down."""
    try:
        status, content = asked(deployed, "/graphql", "ada", {"query": RUNS})
    except (urllib.error.URLError, OSError):
        return []
    found = json.loads(content).get("data") if status == 200 else None
    return found["runsOrError"].get("results", []) if found else []


def statuses(deployed: Deployment, job: str) -> list[str]:
    """How the job's runs stand, newest first."""
    return [run["status"] for run in runs(deployed) if run["jobName"] == job]


def ask_for_the_model(deployed: Deployment) -> bool:
    """A person launches the line through the proxy, unless one is at work or done. Whether the model is there."""
    if len(refs.list_models(deployed.project, "floods")) == 1 and statuses(deployed, "floods_line")[:1] == ["SUCCESS"]:
        return True
    if all(status == "FAILURE" for status in statuses(deployed, "floods_line")):
        with suppress(urllib.error.URLError, OSError):
            config = line_config("floods", AS_OF)
            asked(deployed, "/graphql", "ada", launch(deployed, "floods_line", config), Origin=deployed.url)
            time.sleep(2)
    return False


def until(holds: Callable[[], bool], what: str, seconds: float, deployed: Deployment) -> None:
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            pytest.fail(f"waited {seconds:.0f} s for {what}; runs: {runs(deployed)}; code: {deployed.log('code')}")
        time.sleep(0.3)


def test_nobody_comes_in_without_a_log_in(deployed: Deployment) -> None:
    assert asked(deployed, "/healthz")[0] == 200
    for path in ("/", "/graphql", "/view/graphql", "/mlflow/", "/api/2.0/mlflow/experiments/search"):
        assert asked(deployed, path)[0] == 401, path
        assert asked(deployed, path, "eve")[0] == 401, path
    assert asked(deployed, "/", "vera")[0] == 401, "a viewer's log-in opens the read-only page alone"
    assert asked(deployed, "/mlflow/", "vera")[0] == 401
    status, page = asked(deployed, "/", "ada")
    assert status == 200
    assert b"Dagster" in page
    status, page = asked(deployed, "/view/", "vera")
    assert status == 200
    assert b"Dagster" in page
    status, page = asked(deployed, "/mlflow/", "ada")
    assert status == 200
    assert b"MLflow" in page
    status, _ = asked(
        deployed, "/mlflow/ajax-api/2.0/mlflow/experiments/search", "ada", {"max_results": 5}, Origin=deployed.url
    )
    assert status == 200, "its pages' own questions"


def test_another_site_cannot_use_a_persons_log_in(deployed: Deployment) -> None:
    question = {"query": RUNS}
    assert asked(deployed, "/graphql", "ada", question, Origin="https://evil.example")[0] == 403
    assert asked(deployed, "/graphql", "ada", question, Origin=deployed.url)[0] == 200


def test_the_read_only_page_cannot_launch_anything(deployed: Deployment) -> None:
    day = ("dagster/asset_partition_range_start", "2024-01-01"), ("dagster/asset_partition_range_end", "2024-01-01")
    status, content = asked(deployed, "/view/graphql", "vera", launch(deployed, "tides_ingest", None, *day))
    assert status != 200 or json.loads(content)["data"]["launchRun"]["__typename"] == "UnauthorizedError"
    assert runs(deployed) == []
    status, content = asked(deployed, "/view/graphql", "vera", {"query": RUNS})
    assert status == 200
    assert json.loads(content)["data"]["runsOrError"]["results"] == []


def test_only_the_proxy_and_the_services_own_addresses_listen(deployed: Deployment) -> None:
    listening = set[int]()
    for process in deployed.processes.values():
        if process.poll() is None:
            for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    found = one.net_connections("tcp")
                    listening |= {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}
    assert listening == set(deployed.ports.values())


def test_a_line_finishes_while_each_service_is_killed_once(deployed: Deployment) -> None:
    """Files land and the sensor brings them in; the code server is killed meanwhile, and the sensor asks again. A person launches the
    line; the code server is killed in the middle of its training, and Dagster starts the line again; then everything else is. Only a
    line that a crash of the database failed is launched again by hand."""
    for path in sorted((deployed.folder / "producer").iterdir())[:DAYS]:
        running.drop(path, deployed.folder / "incoming")
    until(lambda: "STARTED" in statuses(deployed, "tides_ingest"), "an ingest to begin", 120, deployed)
    deployed.crash("code")
    until(lambda: len(present(deployed.project.state.data, "tides")) == DAYS, "all days", 240, deployed)
    assert "FAILURE" in statuses(deployed, "tides_ingest"), "the first was killed with its server"
    until(
        lambda: ask_for_the_model(deployed) or "STARTED" in statuses(deployed, "floods_line"), "the line", 120, deployed
    )
    until(lambda: "STARTED" in statuses(deployed, "floods_train"), "the training", 120, deployed)
    deployed.crash("code")  # with the run that it was executing, and its training
    until(lambda: len(statuses(deployed, "floods_line")) == 2, "the line to be started again, by nobody", 240, deployed)
    until(lambda: statuses(deployed, "floods_line")[0] in ("STARTED", "SUCCESS"), "it to be at work", 120, deployed)
    for name in ("mlflow", "viewer", "courier", "daemon", "webserver", "proxy", "postgres"):
        deployed.crash(name)
    until(lambda: ask_for_the_model(deployed), "the model", 240, deployed)
    until(
        lambda: bool(found := runs(deployed)) and all(run["status"] in ("SUCCESS", "FAILURE") for run in found),
        "no run to be left open",
        240,
        deployed,
    )
    for name in deployed.processes:
        if "healthcheck" in deployed.services[name]:
            deployed.until_healthy(name)

    (model,) = refs.list_models(deployed.project, "floods")
    lock = sha256_file(ROOT / "constraints.txt")
    assert model.image == {"commit": deployed.commit, "lock": lock, "digest": DIGEST}
    assert model.code == deployed.commit
    assert not model.dirty
    assert model.trigger == "person"
    assert deployed.project.environment.server is not None
    bare = Repository.at(Path(deployed.project.environment.server.repository))
    assert bare.top is None
    assert bare.resolve(f"refs/mtac/models/{model.model_id}") == model.commit
    checkout = Repository.at(deployed.project.root)
    with private_index(checkout) as index:
        assert not take_snapshot(checkout, [], index).dirty

    def delivered() -> bool:
        path = "/mlflow/ajax-api/2.0/mlflow/runs/search"
        status, content = asked(deployed, "/mlflow/ajax-api/2.0/mlflow/experiments/search", "ada", {"max_results": 9})
        if status != 200:
            return False
        ids = [each["experiment_id"] for each in json.loads(content).get("experiments", [])]
        status, content = asked(deployed, path, "ada", {"experiment_ids": ids})
        found = json.loads(content).get("runs", []) if status == 200 else []
        return any(model.model_id in json.dumps(each) for each in found)

    until(delivered, "MLflow to know the model", 120, deployed)


def test_the_line_of_flights_goes_through_the_daemon(deployed: Deployment) -> None:
    """Real days and the shipped recipe, launched by a person through the proxy: ingested, trained, evaluated, recorded."""
    config = line_config("flight_delays", "2013-07-01")
    status, content = asked(
        deployed, "/graphql", "ada", launch(deployed, "flight_delays_line", config), Origin=deployed.url
    )
    assert (status, json.loads(content)["data"]["launchRun"]["__typename"]) == (200, "LaunchRunSuccess")
    ended = ("SUCCESS", "FAILURE", "CANCELED")
    until(lambda: statuses(deployed, "flight_delays_line")[0] in ended, "the line of flights", 600, deployed)
    assert statuses(deployed, "flight_delays_line") == ["SUCCESS"], runs(deployed)
    (model,) = refs.list_models(deployed.project, "flight_delays")
    assert model.as_of == "2013-07-01"
    assert model.metrics["roc_auc"]["value"] > 0.6
    assert model.image is not None
    assert model.image["digest"] == DIGEST
    assert len(present(deployed.project.state.data, "nyc_flights")) == 28 + 56 + 14


def test_a_model_is_rebuilt_and_promoted_while_mlflow_restarts(deployed: Deployment) -> None:
    """As a server asks: every segment rebuilt, a named person. Decided once, and MLflow follows when it is back."""
    (model,) = refs.list_models(deployed.project, "flight_delays")
    done = deployed.execute("code", "mtac", "reproduce", model.model_id, "--segments", "all", "--by", "ada", "--json")
    assert json.loads(done.stdout)["verdict"] == "identical", done.stdout + done.stderr
    deployed.kill("mlflow")
    done = deployed.execute("code", "mtac", "promote", model.model_id, "--by", "ada", "--reason", "the first", "--json")
    deployed.start("mlflow")
    assert json.loads(done.stdout)["promoted"] is True, done.stdout + done.stderr
    kinds = [entry.kind for entry in ledger.history(deployed.project, deployed.environment, "flight_delays")]
    assert kinds.count("promote") == 1

    def followed() -> bool:
        deployed.execute(
            "code", "mtac", "history", "flight_delays"
        )  # whatever reads models next tells MLflow what it missed
        path = "/mlflow/ajax-api/2.0/mlflow/registered-models/alias?name=flight_delays&alias=champion"
        status, content = asked(deployed, path, "ada")
        return status == 200 and model.model_id in content.decode()

    deployed.until_healthy("mlflow")
    until(followed, "MLflow to name the champion", 120, deployed)


def test_the_doctor_finds_nothing_wrong(deployed: Deployment) -> None:
    done = deployed.execute("code", "mtac", "doctor", "--json")
    said = json.loads(done.stdout)
    states = {part["name"]: part["state"] for part in said["parts"]}
    assert states.pop("proxy") == "worrying", "its certificate is nobody's but its own"
    assert "bad" not in states.values(), said
    worries = [worry["error"] for part in said["parts"] if part["name"] != "proxy" for worry in part["worries"]]
    # On a busy machine a database may be slow to answer, and a recording not delivered yet.
    assert all("answer" in worry or "deliver" in worry for worry in worries), worries
    assert {"image", "secrets", "databases", "artifacts", "services"} <= states.keys()
    assert done.returncode == 0


def test_no_secret_stands_where_others_can_read_it(deployed: Deployment) -> None:
    """Not in a command line, a file or a log; in the environment of MLflow alone, which cannot be told of a file."""
    holding = set[str]()
    for name, process in deployed.processes.items():
        if process.poll() is None:
            for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    assert PASSWORD not in " ".join(one.cmdline()), name
                    if PASSWORD in one.environ().values():
                        holding.add(name)
    assert holding == {"mlflow"}
    for path in [*deployed.folder.glob("*.log"), *(deployed.folder / "root").rglob("*")]:
        if path.is_file() and not path.is_symlink():
            assert PASSWORD.encode() not in path.read_bytes(), path
