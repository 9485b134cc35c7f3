"""Every service of compose.yaml, run as it says: the line of flights through the daemon while each is killed once, seen through the proxy."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
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
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.deployment import DIGEST, Deployment
from mtac_assets_tests.tides import make_project

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(900)]
PASSWORD = "only in its file: %/@"
PEOPLE = {"users": {"ada": "acts"}, "viewers": {"ada": "acts", "vera": "looks"}}
RECIPE, AS_OF = "flight_delays", "2013-07-01"
FLIGHTS = (RECIPE, "nyc_flights", "nyc_weather")
LINE, TRAINING = f"{RECIPE}_line", f"{RECIPE}_train"
RUNS = "{ runsOrError { ... on Runs { results { runId jobName status } } } }"
LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on UnauthorizedError { message } } }"""


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployment]:
    folder = Path(tempfile.mkdtemp(prefix="mtac-deployment-"))
    made = make_project(folder / "source")
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
    """Status and content of one request through the proxy, with a person's log-in."""
    words = PEOPLE["viewers"] | {"eve": "guesses"}
    return deployed.ask(path, None if person is None else (person, words[person]), body, **headers)


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
    except OSError:
        return []
    found = json.loads(content).get("data") if status == 200 else None
    return found["runsOrError"].get("results", []) if found else []


def statuses(deployed: Deployment, job: str) -> list[str]:
    """How the job's runs stand, newest first."""
    return [run["status"] for run in runs(deployed) if run["jobName"] == job]


def ask_for_the_line(deployed: Deployment) -> None:
    """A person launches it through the proxy."""
    body = launch(deployed, LINE, line_config(RECIPE, AS_OF))
    status, content = asked(deployed, "/graphql", "ada", body, Origin=deployed.url)
    assert (status, json.loads(content)["data"]["launchRun"]["__typename"]) == (200, "LaunchRunSuccess")


def finished(deployed: Deployment) -> bool:
    """Whether the line is done. Dagster connects anew where the database is away, but a write that was under way when it was killed
    fails its run: then the person launches the line again."""
    found = statuses(deployed, LINE)
    if found and all(status == "FAILURE" for status in found):
        ask_for_the_line(deployed)
    return found[:1] == ["SUCCESS"]


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


def test_the_line_of_flights_finishes_while_each_service_is_killed_once(deployed: Deployment) -> None:
    """Real days and the shipped recipe, launched by a person through the proxy. While days come in, the pages and the proxy are killed;
    while features are computed, MLflow, the courier and the daemon; in the middle of the training the code server, with the line and its
    training. Dagster starts the line again, unasked, and it goes on from the checkpoint; then the database is killed under it."""
    project = deployed.project
    ask_for_the_line(deployed)
    until(lambda: "STARTED" in statuses(deployed, "nyc_flights_ingest"), "days to come in", 180, deployed)
    for name in ("viewer", "webserver", "proxy"):
        deployed.crash(name)
    features = project.state.features / RECIPE
    until(lambda: any(features.glob("*.parquet")), "the first features", 300, deployed)
    for name in ("mlflow", "courier", "daemon"):
        deployed.crash(name)
    until(
        lambda: any(project.state.models.glob("*/checkpoints/*.json")), "the training's first checkpoint", 300, deployed
    )
    deployed.crash("code")  # with the line that it was executing, and its training
    until(lambda: len(statuses(deployed, LINE)) == 2, "the line to be started again, by nobody", 240, deployed)
    assert statuses(deployed, LINE)[1] == "FAILURE", "its process was killed with the code server"
    until(lambda: statuses(deployed, TRAINING)[0] == "STARTED", "the training to go on", 240, deployed)
    deployed.crash("postgres")
    until(lambda: finished(deployed), "the line", 300, deployed)
    until(
        lambda: bool(found := runs(deployed)) and all(run["status"] in ("SUCCESS", "FAILURE") for run in found),
        "no run to be left open",
        240,
        deployed,
    )
    for name in deployed.processes:
        if "healthcheck" in deployed.services[name]:
            deployed.until_healthy(name)

    assert len(present(project.state.data, "nyc_flights")) == 28 + 56 + 14
    (model,) = refs.list_models(project, RECIPE)
    assert model.as_of == AS_OF
    assert model.metrics["roc_auc"]["value"] > 0.6
    assert model.trigger == "person"
    assert not model.dirty
    lock = sha256_file(ROOT / "constraints.txt")
    assert model.image == {"commit": deployed.commit, "lock": lock, "digest": DIGEST}
    assert model.code == deployed.commit
    work = json.loads(refs.read_model_file(project, model.model_id, "training.json"))
    assert work["attempts"] >= 2
    assert work["resumed_at"] > 0, "it went on from the checkpoint"
    assert project.environment.server is not None
    bare = Repository.at(Path(project.environment.server.repository))
    assert bare.top is None
    assert bare.resolve(f"refs/mtac/models/{model.model_id}") == model.commit
    checkout = Repository.at(project.root)
    with private_index(checkout) as index:
        assert not take_snapshot(checkout, [], index).dirty
    verified = deployed.execute("code", "mtac", "verify", "--json")
    assert json.loads(verified.stdout)["intact"] == [model.model_id], verified.stdout + verified.stderr
    until(lambda: delivered(deployed, model.model_id), "MLflow to know the model", 120, deployed)


def delivered(deployed: Deployment, model_id: str) -> bool:
    """Whether MLflow's page names the model."""
    status, content = asked(deployed, "/mlflow/ajax-api/2.0/mlflow/experiments/search", "ada", {"max_results": 9})
    if status != 200:
        return False
    ids = [each["experiment_id"] for each in json.loads(content).get("experiments", [])]
    status, content = asked(deployed, "/mlflow/ajax-api/2.0/mlflow/runs/search", "ada", {"experiment_ids": ids})
    found = json.loads(content).get("runs", []) if status == 200 else []
    return any(model_id in json.dumps(each) for each in found)


def test_a_model_is_rebuilt_and_promoted_while_mlflow_restarts(deployed: Deployment) -> None:
    """As a server asks: every segment rebuilt, a named person. Decided once, and MLflow follows when it is back."""
    (model,) = refs.list_models(deployed.project, RECIPE)
    done = deployed.execute("code", "mtac", "reproduce", model.model_id, "--segments", "all", "--by", "ada", "--json")
    assert json.loads(done.stdout)["verdict"] == "identical", done.stdout + done.stderr
    deployed.kill("mlflow")
    done = deployed.execute("code", "mtac", "promote", model.model_id, "--by", "ada", "--reason", "the first", "--json")
    deployed.start("mlflow")
    assert json.loads(done.stdout)["promoted"] is True, done.stdout + done.stderr
    kinds = [entry.kind for entry in ledger.history(deployed.project, deployed.environment, "flight_delays")]
    assert kinds.count("promote") == 1

    deployed.until_healthy("mlflow")
    until(lambda: followed(deployed, model.model_id), "MLflow to name the champion", 120, deployed)


def followed(deployed: Deployment, model_id: str) -> bool:
    """Whether MLflow names the champion, told by whatever reads models next."""
    deployed.execute("code", "mtac", "history", RECIPE)
    path = f"/mlflow/ajax-api/2.0/mlflow/registered-models/alias?name={RECIPE}&alias=champion"
    status, content = asked(deployed, path, "ada")
    return status == 200 and model_id in content.decode()


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


def test_a_new_server_has_everything_from_the_backup(deployed: Deployment) -> None:
    """As docs/operations.md says: the databases and the volume are gone, the image and the secrets are there."""
    safe = str(deployed.folder / "safe" / "mtac")
    saved = deployed.execute("code", "mtac", "backup", safe, "--verify", "--json")
    assert json.loads(saved.stdout)["models"] == 1, saved.stdout + saved.stderr
    (model,) = refs.list_models(deployed.project, RECIPE)
    before = ledger.history(deployed.project, deployed.environment, RECIPE)
    volume = Path(deployed.project.state.root).parent
    deployed.stop_all()
    for gone in (volume, deployed.folder / "database", deployed.folder / "postgres"):
        shutil.rmtree(gone)
    volume.mkdir()

    deployed.start_all()
    assert refs.list_models(deployed.project) == []
    assert runs(deployed) == []
    restored = deployed.execute("code", "mtac", "restore", safe, "--json")
    assert json.loads(restored.stdout)["models"] == [model.model_id], restored.stdout + restored.stderr
    verified = deployed.execute("code", "mtac", "verify", "--json")
    assert set(json.loads(verified.stdout)["intact"]) == {model.model_id, f"ledger {deployed.environment}"}
    assert refs.list_models(deployed.project, RECIPE) == [model]
    assert ledger.history(deployed.project, deployed.environment, RECIPE) == before
    until(lambda: followed(deployed, model.model_id), "MLflow to name the champion", 120, deployed)
    examined = deployed.execute("code", "mtac", "doctor", "--json")
    assert examined.returncode == 0, examined.stdout
    planned = deployed.execute("code", "mtac", "plan", RECIPE, "--as-of", AS_OF, "--json")
    assert json.loads(planned.stdout)["steps"] == [], "nothing has to be made again"

    clone = deployed.folder / "clone"
    subprocess.run(["git", "clone", "-q", f"{safe}/mtac.git", str(clone)], check=True)
    assert (clone / "pyproject.toml").is_file(), "or on one machine, from the backup alone"
