"""A job whose graph has a failing branch, recorded by dagster-mlflow and by us at once. Run as a script, for dagster-mlflow
leaves global state behind: `python branching_job.py in_process|multiprocess`."""

import sys

import dagster as dg
from dagster_mlflow import end_mlflow_on_run_finished

from mtac_assets.orchestration.resources.mlflow import MlflowTracking, team_mlflow
from mtac_assets.spec.project import find_project
from mtac_assets.tracking.description import Training

BOTH = {"mlflow", "ours"}


def training(model_id: str) -> Training:
    return Training("ours", model_id, {"name": "ours"})


@dg.op(required_resource_keys=BOTH, tags={"dagster/priority": "1"})
def fails(context) -> None:
    with context.resources.ours.start(training("fails")):
        context.resources.mlflow.log_metric("fails", 1)
        raise RuntimeError("this branch fails")


@dg.op(required_resource_keys=BOTH)
def trains(context) -> None:
    with context.resources.ours.start(training("trains")) as recorder:
        recorder.values({"trains": 1})
        context.resources.mlflow.log_metric("trains", 1)


@end_mlflow_on_run_finished
@dg.graph
def branching():
    fails()
    trains()


def job(kind: str) -> dg.JobDefinition:
    project = find_project()
    executors = {
        "in_process": dg.in_process_executor,
        "multiprocess": dg.multiprocess_executor.configured({"max_concurrent": 1}),
    }
    return branching.to_job(
        name=kind,
        resource_defs={
            "mlflow": team_mlflow(project, "theirs"),
            "ours": MlflowTracking(root=str(project.root), environment=project.environment.name),
        },
        executor_def=executors[kind],
    )


def multiprocess() -> dg.JobDefinition:
    return job("multiprocess")


def in_process() -> dg.JobDefinition:
    return job("in_process")


if __name__ == "__main__":
    chosen = {"multiprocess": multiprocess, "in_process": in_process}[sys.argv[1]]
    from mtac_assets_tests.tracking import branching_job

    with dg.DagsterInstance.local_temp() as instance:
        recon = dg.reconstructable(getattr(branching_job, chosen.__name__))
        result = dg.execute_job(recon, instance=instance)
        print({True: "success", False: "failure"}[result.success])
