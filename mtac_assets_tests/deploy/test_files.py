"""The files of a deployment against their schemas and against one another: names, ports, versions, variables, hardening."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtac_assets.cli.service import Name
from mtac_assets.provenance.image import DIGEST_VARIABLE, EXPECTED_VARIABLE, FOLDER_VARIABLE
from mtac_assets.services.server import NAMES, VIEWER_PREFIX
from mtac_assets.spec.environment import Server
from mtac_assets.spec.project import find_project
from mtac_assets.tracking.settings import MLFLOW_PREFIX
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.deployment import REFERENCE, compose, dockerfile_settings

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
NGINX = (DEPLOY / "nginx.conf").read_text()
VARIABLES = {"MTAC_IMAGE_REFERENCE": REFERENCE, "MTAC_ENVIRONMENT": "production"}
COMPOSE = compose(VARIABLES)
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == REFERENCE}
HELM = yaml.safe_load((DEPLOY / "helm" / "dagster.yaml").read_text())
BESIDE = list(yaml.safe_load_all((DEPLOY / "helm" / "mtac.yaml").read_text()))
RAY = list(yaml.safe_load_all((DEPLOY / "helm" / "ray.yaml").read_text()))


@pytest.fixture(scope="module", params=["staging", "production"])
def server(request: pytest.FixtureRequest) -> Server:
    found = find_project(ROOT, request.param).environment.server
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.compose-spec", [DEPLOY / "compose.yaml"]),
        ("vendor.github-workflows", sorted((ROOT / ".github" / "workflows").glob("*.yml"))),
    ],
)
def test_a_file_is_what_its_schema_says(schema: str, files: list[Path]) -> None:
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    published = {name for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"proxy"}
    assert COMPOSE["networks"]["inside"]["internal"] is True
    outward = {name for name, service in COMPOSE["services"].items() if "out" in service["networks"]}
    assert outward == {"proxy", "code"}, "runs read data from elsewhere; nothing else has to"


def test_every_service_is_hardened_limited_and_watched() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped"), name
        assert ("healthcheck" in service) == (name not in ("prepare", "courier")), name
        assert "logging" in service, name
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"], name
        for key, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY", key) or key.endswith("_FILE"), f"{name}: {key}={value}"
        for mount in service.get("volumes", []):
            assert mount.startswith("./") or mount.split(":")[0] in COMPOSE["volumes"], name
    assert {service["user"] for service in OURS.values()} == {"10001:10001"}


def test_each_command_of_ours_is_a_service_and_each_service_a_command() -> None:
    told = {name: service["command"] for name, service in OURS.items()}
    assert told == {name: ["mtac", "service", name] for name in told}
    assert set(told) == set(Name) - {Name.migrate}
    for name in NAMES:
        assert OURS[name]["healthcheck"]["test"] == ["CMD", "mtac", "service", name, "--healthy"]


def test_variables_are_those_that_the_code_reads(server: Server) -> None:
    for service in OURS.values():
        assert set(service["environment"]) == {"APP_ENV", DIGEST_VARIABLE, EXPECTED_VARIABLE}
    image, folder = dockerfile_settings()
    assert FOLDER_VARIABLE in image
    assert folder == "/app"
    named = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    told = set(re.findall(r"^#   (MTAC_\w+)", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE))
    assert named == told
    with pytest.raises(AssertionError, match="staging or production"):
        compose({"MTAC_IMAGE_REFERENCE": REFERENCE})


def test_addresses_are_the_same_everywhere(server: Server) -> None:
    for name in ("code", "webserver", "viewer", "mlflow"):
        address = getattr(server.addresses, name)
        assert address.host == name
        assert name in COMPOSE["services"]
        if name != "code":
            assert NGINX.count(f"http://{name}:{address.port};") == 1
    postgres = COMPOSE["services"]["postgres"]
    assert server.postgres.host == "postgres"
    assert f"port={server.postgres.port}" in postgres["command"]
    assert postgres["environment"]["POSTGRES_USER"] == server.postgres.user
    assert postgres["environment"]["POSTGRES_PASSWORD_FILE"] == server.postgres.password_file
    assert server.postgres.password_file == "/run/secrets/postgres_password"
    assert f"location {VIEWER_PREFIX} " in NGINX
    assert f"location {MLFLOW_PREFIX} " in NGINX
    (published,) = COMPOSE["services"]["proxy"]["ports"]
    assert f"listen {published.split(':')[1]} ssl" in NGINX
    assert set(re.findall(r"/run/secrets/(\w+)", NGINX)) == set(COMPOSE["services"]["proxy"]["secrets"])


def test_everything_is_kept_on_a_volume(server: Server) -> None:
    environment = find_project(ROOT, "production").environment
    for service in OURS.values():
        assert "srv:/srv/mtac" in service["volumes"]
    for path in (environment.state, environment.data.remote, server.repository, server.artifacts):
        assert str(path).startswith("/srv/mtac/")
    assert f"ARG REPOSITORY={server.repository}\n" in DOCKERFILE
    assert "install -d -o mtac -g mtac -m 0750 /srv/mtac" in DOCKERFILE


def test_the_image_is_built_from_known_stages_and_runs_as_nobody() -> None:
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    known = {"${PYTHON}"}
    instructions = set[str]()
    for line in joined.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word = line.split()[0]
        instructions.add(word)
        if word == "FROM":
            base, name = line.split()[1], line.split()[3]
            assert base in known, line
            known.add(name)
        for source in re.findall(r"--from=(\S+)", line):
            assert source in known, line
    assert instructions <= {"FROM", "ARG", "RUN", "COPY", "ENV", "LABEL", "WORKDIR", "USER", "CMD"}
    assert {"worker", "service"} <= known
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert "-c /app/constraints.txt" in DOCKERFILE
    assert ":latest" not in DOCKERFILE + (DEPLOY / "compose.yaml").read_text()


def test_the_worker_lacks_only_what_no_run_needs() -> None:
    """Its distributions, hidden from a process that loads what a run pod loads."""
    (removed,) = re.findall(r"pip uninstall --quiet --yes \\\n\s+(.+?) \\", DOCKERFILE)
    modules = set[str]()
    for name in removed.split():
        files = importlib.metadata.distribution(name).files or []
        tops = {file.parts[0] for file in files if file.suffix == ".py"}
        modules |= {top.removesuffix(".py") for top in tops if not top.startswith(("..", "__"))}
    assert {"flask", "dagster_webserver", "graphene"} <= modules
    code = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(modules)!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hidden())
import mtac_assets.definitions as found
assert found.defs().get_repository_def().get_all_jobs()
import dagster._cli, dagster_postgres, mlflow.tracking.client, mtac_assets.training.run, mtac_assets.evaluation.evaluate
import mtac_assets.orchestration.line, mtac_assets.promotion.decide
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def containers(document: Any) -> Iterator[Mapping[str, Any]]:
    """Every container of a manifest, wherever in it."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "containers":
                yield from value
            else:
                yield from containers(value)
    elif isinstance(document, list):
        for value in document:
            yield from containers(value)


def test_kubernetes_runs_the_same_commands_from_one_image(server: Server) -> None:
    found = [one for document in [*BESIDE, *RAY] for one in containers(document)]
    chart = [HELM["dagsterWebserver"], HELM["dagsterDaemon"], *HELM["dagster-user-deployments"]["deployments"]]
    images = {one["image"] for one in found}
    images |= {f"{one['image']['repository']}:{one['image']['tag']}" for one in chart}
    assert len(images) == 1, "one place in each file to put the digest"
    assert re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", images.pop())
    for one in found:
        if "command" in one:
            assert one["command"] == ["mtac", "service", one["name"]]
            assert one["name"] in OURS
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        values = {entry["name"]: entry["value"] for entry in one["env"]}
        assert find_project(ROOT, values["APP_ENV"]).environment.server is not None


def test_kubernetes_finds_services_where_the_environment_says(server: Server) -> None:
    services = {document["metadata"]["name"]: document["spec"] for document in BESIDE if document["kind"] == "Service"}
    for name in ("mlflow", "viewer"):
        assert services[name]["ports"][0]["port"] == getattr(server.addresses, name).port
    assert {"postgres", "webserver"} <= services.keys()
    (code,) = HELM["dagster-user-deployments"]["deployments"]
    assert (code["name"], code["port"]) == (server.addresses.code.host, server.addresses.code.port)
    project = find_project(ROOT)
    (entry,) = HELM["dagsterWebserver"]["workspace"]["servers"]
    assert entry == {"host": code["name"], "port": code["port"], "name": project.package}
    assert HELM["dagsterWebserver"]["service"]["port"] == server.addresses.webserver.port
    assert HELM["postgresql"]["postgresqlHost"] == server.postgres.host
    assert HELM["postgresql"]["postgresqlUsername"] == server.postgres.user
    assert HELM["postgresql"]["postgresqlDatabase"] == server.postgres.dagster_database
    paths = {
        rule["path"]: rule["backend"]["service"]["name"]
        for document in BESIDE
        if document["kind"] == "Ingress"
        for rule in document["spec"]["rules"][0]["http"]["paths"]
    }
    assert paths == {"/": "webserver", MLFLOW_PREFIX: "mlflow", VIEWER_PREFIX: "viewer"}
    for document in BESIDE:
        if document["kind"] == "Ingress":
            assert document["metadata"]["annotations"]["nginx.ingress.kubernetes.io/auth-type"] == "basic"
            assert document["spec"]["tls"]


def test_kubernetes_shares_one_volume_and_one_secret() -> None:
    claims, secrets = set[str](), set[str]()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            claims.update(found for key, found in value.items() if key == "claimName")
            secrets.update(found for key, found in value.items() if key == "secretName" and "items" in value)
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look([HELM, BESIDE, RAY])
    assert claims == {"mtac"}
    assert secrets == {HELM["global"]["postgresqlSecretName"]}


# What the chart of Dagster 1.13 knows of the sections that are used here; what it does not know it would ignore, or refuse.
CHART = {
    "": "dagsterWebserver dagster-user-deployments postgresql generatePostgresqlPasswordSecret generateCeleryConfigSecret rabbitmq"
    " redis flower ingress imagePullSecrets computeLogManager scheduler runLauncher pythonLogs dagsterDaemon busybox migrate telemetry"
    " serviceAccount global retention additionalInstanceConfig extraManifests",
    "dagster-user-deployments": "enabled enableSubchart imagePullSecrets deployments",
    "runLauncher": "type config",
    "runLauncher.config.k8sRunLauncher": "image imagePullPolicy jobNamespace loadInclusterConfig kubeconfigFile envConfigMaps envSecrets"
    " envVars volumeMounts volumes labels failPodOnRunFailure resources schedulerName securityContext runK8sConfig",
    "runLauncher.config.k8sRunLauncher.runK8sConfig": "containerConfig podSpecConfig podTemplateSpecMetadata jobSpecConfig jobMetadata",
    "dagsterDaemon": "enabled image runCoordinator heartbeatTolerance env envConfigMaps envSecrets deploymentLabels labels nodeSelector"
    " affinity tolerations podSecurityContext securityContext resources livenessProbe readinessProbe startupProbe annotations"
    " runMonitoring runRetries sensors schedules schedulerName volumeMounts volumes",
    "dagsterWebserver": "replicaCount image nameOverride pathPrefix service workspace env envConfigMaps envSecrets deploymentLabels labels"
    " nodeSelector affinity tolerations podSecurityContext securityContext resources readinessProbe livenessProbe startupProbe"
    " annotations enableReadOnly dbStatementTimeout dbPoolRecycle logLevel schedulerName volumeMounts volumes",
    "postgresql": "image enabled postgresqlHost postgresqlUsername postgresqlPassword postgresqlDatabase postgresqlParams"
    " postgresqlScheme service",
}


@pytest.mark.parametrize("section", CHART)
def test_the_chart_knows_every_value(section: str) -> None:
    values = HELM
    for part in filter(None, section.split(".")):
        values = values[part]
    assert set(values) <= set(CHART[section].split())


def test_the_charts_version_is_dagsters() -> None:
    (asked,) = re.findall(r"--version (\S+)", (DEPLOY / "helm" / "dagster.yaml").read_text())
    assert f"dagster=={asked}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert json.dumps(HELM)  # plain values alone
