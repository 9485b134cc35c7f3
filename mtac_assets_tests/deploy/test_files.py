"""The files of a deployment against their schemas and against one another: names, ports, versions, variables, hardening."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mtac_assets.cli.service import Name
from mtac_assets.provenance.image import DIGEST_VARIABLE, EXPECTED_VARIABLE, FOLDER_VARIABLE
from mtac_assets.services.server import VIEWER_PREFIX, WATCHED
from mtac_assets.spec.environment import Server
from mtac_assets.spec.project import find_project
from mtac_assets.tracking.settings import MLFLOW_PREFIX
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.deployment import DIGEST, REFERENCE, compose, dockerfile_settings

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
NGINX = (DEPLOY / "nginx.conf").read_text()
VARIABLES = {
    "MTAC_IMAGE_REFERENCE": REFERENCE,
    "MTAC_IMAGE_EXPECTED": DIGEST,
    "MTAC_ENVIRONMENT": "production",
}
COMPOSE = compose(VARIABLES)
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == REFERENCE}


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
        assert ("healthcheck" in service) == (name != "prepare"), name
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
    for name in WATCHED:
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
    for missing in VARIABLES:
        with pytest.raises(AssertionError, match=f"{missing} must be set"):
            compose({name: value for name, value in VARIABLES.items() if name != missing})


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
