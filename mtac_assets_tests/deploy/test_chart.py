"""deploy/helm against the schemas of Kubernetes, strict ones, and against what Dagster's chart takes.

The schemas of Kubernetes are those that kubernetes-validate brings. The chart's own is on no registry: what it says of each
value that is set here stands below, read in dagster-io/dagster, helm/dagster/schema (the models that values.schema.json is made of; as of
commits 0070107 and 0f2d9d8, run_launcher.py as of 969d726). Any other value is unknown until somebody has looked it up there.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.deploy.test_kubernetes import BESIDE, HELM, RAY

VERSIONS = ("1.30", "1.36")  # the oldest that is promised, and that of the client which dagster-k8s brings
DEFINITIONS = "urn:kubernetes"  # where they are found here

STRING, BOOLEAN, INTEGER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
ANYTHING = {"type": "object"}


def of(**properties: Any) -> dict[str, Any]:
    """An object with these keys and no others. What the chart asks for beside them has a default of its own."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def each(kind: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": kind}


def kubernetes(name: str) -> dict[str, Any]:
    """What Kubernetes defines, which the chart passes on."""
    return {"$ref": f"{DEFINITIONS}#/$defs/io.k8s.api.core.v1.{name}"}


def one_of(*names: str) -> dict[str, Any]:
    return {"enum": list(names)}


IMAGE = of(repository=STRING, tag=STRING, pullPolicy=one_of("Always", "IfNotPresent", "Never"))
POD = {
    "podSecurityContext": kubernetes("PodSecurityContext"),
    "securityContext": kubernetes("SecurityContext"),
    "resources": kubernetes("ResourceRequirements"),
    "volumes": each(kubernetes("Volume")),
    "volumeMounts": each(kubernetes("VolumeMount")),
}
WEBSERVER = of(
    image=IMAGE,
    service=of(type=STRING, port=INTEGER),
    enableReadOnly=BOOLEAN,
    workspace=of(enabled=BOOLEAN, servers=each(of(host=STRING, port=INTEGER, name=STRING))),
    **POD,
)
DEPLOYMENT = of(
    name=STRING,
    image=IMAGE,
    dagsterApiGrpcArgs=each(STRING),
    port=INTEGER,
    includeConfigInLaunchedRuns=of(enabled=BOOLEAN),
    env=each(kubernetes("EnvVar")),
    **POD,
)
K8S_RUN_LAUNCHER = of(
    imagePullPolicy=one_of("Always", "IfNotPresent", "Never"),
    loadInclusterConfig=BOOLEAN,
    failPodOnRunFailure=BOOLEAN,
    runK8sConfig=of(containerConfig=ANYTHING, podSpecConfig=ANYTHING, jobSpecConfig=ANYTHING),
    **{key: POD[key] for key in ("securityContext", "resources", "volumes", "volumeMounts")},
)
DAEMON = of(
    enabled=BOOLEAN,
    image=IMAGE,
    runCoordinator=of(
        enabled=BOOLEAN,
        type=one_of("QueuedRunCoordinator"),
        config=of(
            queuedRunCoordinator=of(
                dequeueIntervalSeconds=INTEGER, dequeueUseThreads=BOOLEAN, dequeueNumWorkers=INTEGER
            )
        ),
    ),
    runMonitoring=ANYTHING,
    runRetries=ANYTHING,
    **POD,
)
TICKS = of(purgeAfterDays=of(skipped=INTEGER, success=INTEGER, failure=INTEGER, started=INTEGER))
CHART = of(
    **{
        "global": of(postgresqlSecretName=STRING, dagsterHome=STRING),
        "generatePostgresqlPasswordSecret": BOOLEAN,
        "postgresql": of(
            enabled=BOOLEAN,
            postgresqlHost=STRING,
            postgresqlUsername=STRING,
            postgresqlDatabase=STRING,
            postgresqlScheme=STRING,
            service=of(port=INTEGER),
        ),
        "dagsterWebserver": WEBSERVER,
        "dagster-user-deployments": of(enabled=BOOLEAN, enableSubchart=BOOLEAN, deployments=each(DEPLOYMENT)),
        "runLauncher": of(type=one_of("K8sRunLauncher"), config=of(k8sRunLauncher=K8S_RUN_LAUNCHER)),
        "dagsterDaemon": DAEMON,
        "retention": of(enabled=BOOLEAN, sensor=TICKS, schedule=TICKS),
        "additionalInstanceConfig": ANYTHING,  # Dagster's own: test_dagster_takes_the_instance_that_the_chart_writes
        "telemetry": of(enabled=BOOLEAN),
        "ingress": of(enabled=BOOLEAN),
        "migrate": of(enabled=BOOLEAN),
    }
)


def problems(values: Any, version: str = VERSIONS[-1]) -> list[str]:
    """Where the values are not what chart and Kubernetes take."""
    schemas = importlib.resources.files(kubernetes_validate) / "kubernetes-json-schema"
    text = (schemas / f"v{version}.0-local-strict" / "_definitions.json").read_text()
    definitions = Resource.from_contents(json.loads(text), default_specification=DRAFT202012)
    checker = jsonschema.Draft202012Validator(CHART, registry=Registry().with_resource(DEFINITIONS, definitions))
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(values)]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_charts_values_are_what_it_takes(version: str) -> None:
    assert problems(HELM, version) == []


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"dequeueIntervalSeconds": 1', '"dequeueIntervalSecond": 1', "$.dagsterDaemon.runCoordinator"),
        ('"port": 3000', '"port": "3000"', "$.dagsterWebserver.service.port"),
        ('"readOnlyRootFilesystem"', '"readonlyRootFilesystem"', "$.dagsterWebserver.securityContext"),
        ('"mountPath": "/srv/mtac"', '"path": "/srv/mtac"', "$.dagster-user-deployments.deployments[0].volumeMounts"),
        ('"type": "K8sRunLauncher"', '"type": "K8SRunLauncher"', "$.runLauncher.type"),
    ],
)
def test_a_slip_is_named_with_its_place(old: str, new: str, place: str) -> None:
    text = json.dumps(HELM)
    assert old in text
    found = problems(json.loads(text.replace(old, new)))
    assert any(re.sub(r"\['([\w-]+)'\]", r".\1", each).startswith(place) for each in found), found


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object_beside_the_chart(version: str) -> None:
    for document in BESIDE:
        assert kubernetes_validate.validate(document, version, strict=True) == version
    (cluster,) = RAY  # KubeRay's own kind; what it starts are pods
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for template in (group["template"] for group in groups):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, **template}
        kubernetes_validate.validate(pod, version, strict=True)


def test_the_schemas_are_of_the_client_that_asks_the_cluster() -> None:
    pins = (ROOT / "constraints.txt").read_text()
    (client,) = re.findall(r"^kubernetes==(\d+)\.", pins, re.MULTILINE)
    assert VERSIONS[-1] == f"1.{client}"
