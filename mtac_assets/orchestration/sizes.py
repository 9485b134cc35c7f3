"""What a training asks of Kubernetes: the recipe names a class, the environment says what that is. Nothing elsewhere reads the tag.

Dagster's run launcher for Kubernetes merges `dagster-k8s/config` of a run into its pod; a run is one pod, and a training runs in it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mtac_assets.spec.errors import Finding, SpecError

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Limits, Size
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.recipe import Recipe

POD_TAG = "dagster-k8s/config"
SPOT_TAINTS = (
    "cloud.google.com/gke-spot",
    "kubernetes.azure.com/scalesetpriority",
)  # a taint that is not there harms nobody
SPOT_NOTICE_SECONDS = 30  # the shortest that clouds give, where limits.preemption_seconds does not say
GRACE_SECONDS = 120
ROUND_SECONDS = 900  # of a deadline beyond the run's own limit: ten minutes to get a machine, five to end by itself


def pod_tags(project: Project, recipe: Recipe, *, stages: int = 1) -> dict[str, str]:
    """Run tags of the jobs that train `recipe`; none where the environment knows no sizes. `stages`: how many of the environment's
    limits one run may take. Raises SpecError."""
    sizes = project.environment.sizes
    if not sizes:
        return {}
    if recipe.size not in sizes:
        name = project.environment.name
        raise SpecError(
            Finding(
                f"{name} has no size called `{recipe.size}`",
                f"{recipe.name}: size",
                f"one of: {', '.join(sorted(sizes))}",
                f"name one of them in the recipe, or add it to environments/{name}.yaml: sizes",
            )
        )
    config = pod_config(sizes[recipe.size], project.environment.limits, stages=stages)
    return {POD_TAG: json.dumps(config, sort_keys=True)}


def pod_config(size: Size, limits: Limits, *, stages: int = 1) -> dict[str, Any]:
    """The pod of one training: it gets the memory it asks for and no more, as long to save its state as its machine allows, and
    ends by the cluster's hand where the run's own limit did not end it."""
    asked = {"cpu": size.cpu, "memory": size.memory} | ({size.gpu_resource: str(size.gpus)} if size.gpus else {})
    at_most = {name: amount for name, amount in asked.items() if name != "cpu"}  # a spare processor may be used
    grace = (limits.preemption_seconds or SPOT_NOTICE_SECONDS) if size.spot else GRACE_SECONDS
    pod: dict[str, Any] = {"restart_policy": "Never", "termination_grace_period_seconds": grace}
    if size.node_labels:
        pod["node_selector"] = dict(size.node_labels)
    tolerated = dict.fromkeys((*size.tolerations, *(SPOT_TAINTS if size.spot else ())))
    if tolerated:
        pod["tolerations"] = [{"key": key, "operator": "Exists"} for key in tolerated]
    deadline = size.deadline_seconds or stages * limits.run_seconds + ROUND_SECONDS
    evict = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true" if size.spot else "false"}
    return {
        "container_config": {"resources": {"requests": asked, "limits": at_most}},
        "pod_spec_config": pod,
        "job_spec_config": {"active_deadline_seconds": deadline},
        "pod_template_spec_metadata": {"annotations": evict},
    }
