"""The files for Kubernetes: against the environment, against the chart, and as Dagster itself reads them: its instance, its launcher, the pod of a run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job

from mtac_assets.orchestration.instance import configuration
from mtac_assets.orchestration.place import recipe_place
from mtac_assets.orchestration.sizes import ROUND_SECONDS
from mtac_assets.orchestration.triggers.line_job import line_job
from mtac_assets.provenance.image import DIGEST_VARIABLE, EXPECTED_VARIABLE
from mtac_assets.services.server import VIEWER_PREFIX
from mtac_assets.spec.environment import Server
from mtac_assets.spec.project import find_project
from mtac_assets.tracking.settings import MLFLOW_PREFIX
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.deployment import DIGEST, REFERENCE, compose

DEPLOY = ROOT / "deploy"
HELM = yaml.safe_load((DEPLOY / "helm" / "dagster.yaml").read_text())
BESIDE = list(yaml.safe_load_all((DEPLOY / "helm" / "mtac.yaml").read_text()))
RAY = list(yaml.safe_load_all((DEPLOY / "helm" / "ray.yaml").read_text()))
(CODE,) = HELM["dagster-user-deployments"]["deployments"]
LAUNCHER = HELM["runLauncher"]["config"]["k8sRunLauncher"]
VARIABLES = {"MTAC_IMAGE_REFERENCE": REFERENCE, "MTAC_IMAGE_EXPECTED": DIGEST, "MTAC_ENVIRONMENT": "production"}
OURS = {name for name, service in compose(VARIABLES)["services"].items() if service["image"] == REFERENCE}


@pytest.fixture(params=["staging", "production"])
def server(request: pytest.FixtureRequest) -> Server:
    found = find_project(ROOT, request.param).environment.server
    assert found is not None
    return found


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


def image_of(entry: Mapping[str, Any]) -> str:
    """As the chart joins repository and tag."""
    return f"{entry['repository']}:{entry['tag']}"


def test_every_container_is_of_an_accepted_image_and_hardened(server: Server) -> None:
    found = [one for document in [*BESIDE, *RAY] for one in containers(document)]
    chart = [HELM["dagsterWebserver"], HELM["dagsterDaemon"], CODE]
    run = LAUNCHER["runK8sConfig"]["containerConfig"]
    images = {one["image"] for one in [*found, run]} | {image_of(one["image"]) for one in chart}
    assert all(re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", image) for image in images)
    names = sorted(image.partition("@")[0].rpartition("/")[2] for image in images)
    assert names == ["mtac", "mtac-ray", "mtac-worker"], "one digest for each target of the Dockerfile"
    for one in found:
        if "command" in one:
            assert one["command"] == ["mtac", "service", one["name"]]
            assert one["name"] in OURS
    for one in [*found, *chart, LAUNCHER]:
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "/tmp" in {mount["mountPath"] for mount in one["volumeMounts"]}, "all else is read-only"
    for one in [*found, {"image": image_of(CODE["image"]), "env": CODE["env"]}, run]:
        values = {entry["name"]: entry for entry in one["env"]}
        assert find_project(ROOT, values["APP_ENV"]["value"]).environment.server is not None
        assert values[DIGEST_VARIABLE]["value"] == one["image"]
        target = one["image"].partition("@")[0].rpartition("/")[2]
        key = {"mtac": "image", "mtac-worker": "worker", "mtac-ray": "ray"}[target]
        accepted = values[EXPECTED_VARIABLE]["valueFrom"]["configMapKeyRef"]
        assert accepted == {"name": "accepted", "key": key}, "required: a pod without it does not start"
        assert f"--from-literal={key}=" in (ROOT / "docs" / "deploy.md").read_text()


def test_make_image_builds_every_target_by_its_own_name(tmp_path: Path) -> None:
    """A `docker` that only writes down what it was asked stands for the engine."""
    told = tmp_path / "docker"
    told.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$1" != inspect ] || echo "$4@sha256:00"\n')
    told.chmod(0o755)
    (tmp_path / "constraints.txt").touch()
    command = ["make", "-s", "-f", str(ROOT / "Makefile"), "image", "IMAGE=registry.example.org:5000/team/mtac"]
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GIT_DIR": str(ROOT / ".git"), "HOME": str(tmp_path)}
    subprocess.run(command, cwd=tmp_path, env=variables, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[0] for line in asked] == ["build", "push", "inspect"] * 2
    assert "--target service" in asked[0]
    assert "--target worker" in asked[3]
    assert (tmp_path / "image-digest").read_text().startswith("registry.example.org:5000/team/mtac:")
    assert (tmp_path / "worker-digest").read_text().startswith("registry.example.org:5000/team/mtac-worker:")


def test_kubernetes_finds_services_where_the_environment_says(server: Server) -> None:
    services = {document["metadata"]["name"]: document["spec"] for document in BESIDE if document["kind"] == "Service"}
    for name in ("mlflow", "viewer"):
        assert services[name]["ports"][0]["port"] == getattr(server.addresses, name).port
    assert {"postgres", "webserver"} <= services.keys()
    assert (CODE["name"], CODE["port"]) == (server.addresses.code.host, server.addresses.code.port)
    project = find_project(ROOT)
    (entry,) = HELM["dagsterWebserver"]["workspace"]["servers"]
    assert entry == {"host": CODE["name"], "port": CODE["port"], "name": project.package}
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


def test_the_charts_version_is_dagsters() -> None:
    (asked,) = re.findall(r"--version (\S+)", (DEPLOY / "helm" / "dagster.yaml").read_text())
    assert f"dagster=={asked}" in (ROOT / "constraints.txt").read_text().splitlines()


def launcher_config() -> dict[str, Any]:
    """The launcher's section of dagster.yaml, as the chart's template writes it from these values (release and namespace `mtac`)."""
    names = {
        "containerConfig": "container_config",
        "podSpecConfig": "pod_spec_config",
        "podTemplateSpecMetadata": "pod_template_spec_metadata",
        "jobSpecConfig": "job_spec_config",
        "jobMetadata": "job_metadata",
    }
    written = {
        "load_incluster_config": LAUNCHER["loadInclusterConfig"],
        "job_namespace": "mtac",
        "image_pull_policy": LAUNCHER["imagePullPolicy"],
        "service_account_name": "mtac-dagster",
        "dagster_home": HELM["global"]["dagsterHome"],
        "instance_config_map": "mtac-dagster-instance",
        "postgres_password_secret": HELM["global"]["postgresqlSecretName"],
        "volume_mounts": LAUNCHER["volumeMounts"],
        "volumes": LAUNCHER["volumes"],
        "resources": LAUNCHER["resources"],
        "security_context": LAUNCHER["securityContext"],
        "run_k8s_config": {names[key]: value for key, value in LAUNCHER["runK8sConfig"].items()},
    }
    return written | ({"fail_pod_on_run_failure": True} if LAUNCHER["failPodOnRunFailure"] else {})


def test_dagster_takes_the_instance_that_the_chart_writes() -> None:
    retention = {key: {"purge_after_days": HELM["retention"][key]["purgeAfterDays"]} for key in ("schedule", "sensor")}
    written = {
        "run_launcher": {"module": "dagster_k8s", "class": HELM["runLauncher"]["type"], "config": launcher_config()},
        "telemetry": HELM["telemetry"],
        "retention": retention,
        **HELM["additionalInstanceConfig"],
    }
    assert not HELM["dagsterDaemon"]["runMonitoring"]["enabled"], "else the chart would write the section twice"
    assert not HELM["dagsterDaemon"]["runRetries"]["enabled"]
    read = process_config(dagster_instance_config_schema(), written)
    assert read.success, read.errors
    config = process_config(K8sRunLauncher.config_type(), launcher_config())
    assert config.success, config.errors

    ours = configuration(find_project(ROOT, "production"))
    coordinator = HELM["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert {re.sub("([A-Z])", r"_\1", key).lower(): value for key, value in coordinator.items()} == ours[
        "run_coordinator"
    ]["config"]
    assert written["retention"] == {
        key: value | {"purge_after_days": value["purge_after_days"] | {"started": -1}}
        for key, value in ours["retention"].items()
    }
    for section in ("concurrency", "run_retries"):
        assert written[section] == ours[section], "as everywhere else"
    same = {"enabled", "max_runtime_seconds", "free_slots_after_run_end_seconds"}
    assert {key: written["run_monitoring"][key] for key in same} == {key: ours["run_monitoring"][key] for key in same}


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> K8sRunLauncher:
    """Dagster's own, of a cluster that nobody asks anything."""
    file = tmp_path_factory.mktemp("cluster") / "config"
    cluster = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
    }
    context = {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **cluster, **context}))
    config = launcher_config() | {"load_incluster_config": False, "kubeconfig_file": str(file)}
    return K8sRunLauncher.from_config_value(None, process_config(K8sRunLauncher.config_type(), config).value)


def job_of(launcher: K8sRunLauncher, tags: Mapping[str, str]) -> Any:
    """What Dagster would ask the cluster for, as the cluster would get it."""
    run = dg.DagsterRun(job_name="floods_line", run_id="0" * 8, tags=tags)
    context = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    job_config = context.get_k8s_job_config(job_image=image_of(CODE["image"]), run_launcher=launcher)
    made = construct_dagster_k8s_job(job_config, ["dagster"], "job", user_defined_k8s_config=context.run_k8s_config)
    import kubernetes

    job = kubernetes.client.ApiClient().sanitize_for_serialization(made)
    assert kubernetes_validate.validate(job, "1.36", strict=True)
    return job["spec"]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_run_is_one_hardened_pod_of_the_size_that_its_recipe_asks_for(
    launcher: K8sRunLauncher, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_ENV", environment)
    project = find_project(ROOT)
    sizes, seconds = project.environment.sizes, project.environment.limits.run_seconds
    tags = line_job(recipe_place(project.recipes()["flight_delays"].parent)).run_tags
    for asked, memory, deadline in (
        ({}, LAUNCHER["resources"]["limits"]["memory"], seconds + ROUND_SECONDS),
        (tags, sizes["standard"].memory, 3 * seconds + ROUND_SECONDS),
    ):
        job = job_of(launcher, asked)
        pod = job["template"]["spec"]
        (container,) = pod["containers"]
        assert container["resources"]["limits"]["memory"] == memory
        assert container["image"].startswith("registry.example.org/mtac-worker@sha256:")
        assert container["securityContext"] == LAUNCHER["securityContext"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/srv/mtac", "/run/secrets", "/tmp"}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert job["activeDeadlineSeconds"] == deadline
        assert job["backoffLimit"] == 0
        assert job["ttlSecondsAfterFinished"] == 86400
