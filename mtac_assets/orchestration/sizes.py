"""What a training asks of Kubernetes: the recipe names a class, the environment says what that is. Nothing elsewhere reads the tag.

Dagster's run launcher for Kubernetes merges `dagster-k8s/config` of a run into its pod; a run is one pod, and a training runs in it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mtac_assets.spec.errors import Finding, SpecError

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Size
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.recipe import Recipe

POD_TAG = "dagster-k8s/config"


def pod_tags(project: Project, recipe: Recipe) -> dict[str, str]:
    """Run tags of the jobs that train `recipe`; none where the environment knows no sizes. Raises SpecError."""
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
    return {POD_TAG: json.dumps(pod_config(sizes[recipe.size]), sort_keys=True)}


def pod_config(size: Size) -> dict[str, Any]:
    """The pod of one training: it gets the memory it asks for and no more, and is deleted some time after its end."""
    asked = {"cpu": size.cpu, "memory": size.memory} | ({size.gpu_resource: str(size.gpus)} if size.gpus else {})
    limits = {name: amount for name, amount in asked.items() if name != "cpu"}  # a spare processor may be used
    pod: dict[str, Any] = {"restart_policy": "Never", "termination_grace_period_seconds": 120}
    if size.node_labels:
        pod["node_selector"] = dict(size.node_labels)
    if size.tolerations:
        pod["tolerations"] = [{"key": key, "operator": "Exists"} for key in size.tolerations]
    job = {"active_deadline_seconds": size.deadline_seconds} if size.deadline_seconds else {}
    evict = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true" if size.spot else "false"}
    return {
        "container_config": {"resources": {"requests": asked, "limits": limits}},
        "pod_spec_config": pod,
        "job_spec_config": job,
        "pod_template_spec_metadata": {"annotations": evict},
    }
