"""A dataset's asset: one partition a day, a range of days in one run, the contract as its blocking check."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.commits import commit_data
from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.partition_events import NO_VALUE, Materialized, report, reported_output
from mtac_assets.orchestration.partitions import dataset_partitions
from mtac_assets.orchestration.triggers.tags import WORK_TAG

if TYPE_CHECKING:
    from mtac_assets.data.ingest import DayResult
    from mtac_assets.orchestration.place import DatasetPlace
    from mtac_assets.spec.dataset import Dataset
    from mtac_assets.spec.project import Project

CONTRACT_CHECK = "contract"
LANDED_CHECK = "landed"
ALL = "all"
NULL_RATE = "null rate: "
NAMED_DAYS, LONGEST_REASON = 5, 100  # in the check's one sentence
SHOWN_DAYS = 40


def dataset_asset(place: "DatasetPlace") -> dg.AssetsDefinition:
    """Read, validate, store and version the requested days. Good days are kept when others fail their contract."""
    dataset, project = place.dataset, place.project
    partitions = dataset_partitions(dataset)

    @dg.asset(
        key=place.key,
        description=dataset.description,
        group_name="datasets",
        owners=[dataset.owner] if dataset.owner else None,
        kinds={dataset.source.kind, "parquet", "dvc"},
        partitions_def=partitions,
        dagster_type=NO_VALUE,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions is not None else None,
        metadata=_definition_metadata(place),
        check_specs=[
            dg.AssetCheckSpec(
                CONTRACT_CHECK,
                asset=place.key,
                blocking=True,
                description="Every requested day keeps the dataset's contract. A day that breaks it is not stored.",
            ),
            *_landed_spec(place),
        ],
    )
    def ingest_days(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
        from mtac_assets.data.ingest import ingest
        from mtac_assets.data.versioning import version

        sign(context)
        keys = tuple(context.partition_keys) if partitions is not None else (ALL,)
        with as_failure():
            days = ingest(project, dataset, keys).days
            good = [day for day in days if day.status != "failed"]
            version(project, dataset, [day.key for day in good])
            written = [day.key for day in good if day.status == "written"]
            # A run that a trigger asked for may finish what a killed one left: written, and not committed.
            committed = written or ([day.key for day in good] if WORK_TAG in context.run.tags else [])
            if committed:
                commit_data(context, project, dataset.name, committed)
        report(context, [_materialized(day, partitioned=partitions is not None) for day in good])
        context.log.info(f"{dataset.name}: {len(written)} written, {len(good) - len(written)} unchanged of {len(days)}")
        yield reported_output()
        yield contract_result(days)
        if dataset.arrival is not None:
            yield _landed_result(context, project, dataset, days)

    return ingest_days


def contract_result(days: Sequence["DayResult"]) -> dg.AssetCheckResult:
    """The blocking check of a range: passed when no day failed, with the evidence of those that did."""
    failed = [day for day in days if day.status == "failed"]
    findings = [finding for day in failed for finding in day.findings]
    evidence: dict[str, Any] = {
        "days": len(days),
        "failed days": len(failed),
        "rows": sum(day.manifest.rows for day in days if day.manifest is not None),
        "quarantined rows": sum(day.quarantined_rows for day in days),
        "checks": metadata.table(["check", "days passed", "days failed"], _checks_by_name(days)),
    }
    if failed:
        evidence["what went wrong"] = metadata.findings_table(findings[:SHOWN_DAYS])
        evidence["findings"] = dg.MetadataValue.json([finding.document() for finding in findings[:SHOWN_DAYS]])
    description = None
    if failed:
        reasons = [
            f"{day.key} ({day.findings[0].error[:LONGEST_REASON] if day.findings else 'see below'})" for day in failed
        ]
        named = ", ".join(reasons[:NAMED_DAYS]) + (" …" if len(failed) > NAMED_DAYS else "")
        description = f"{len(failed)} of {len(days)} days break the contract: {named}"
    return dg.AssetCheckResult(
        check_name=CONTRACT_CHECK,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=evidence,
    )


def _landed_spec(place: "DatasetPlace") -> list[dg.AssetCheckSpec]:
    if place.dataset.arrival is None:
        return []
    described = "No file lies in the landing folder that was tried and refused. A good day after a bad one changes nothing here."
    return [dg.AssetCheckSpec(LANDED_CHECK, asset=place.key, blocking=False, description=described)]


def _landed_result(
    context: dg.AssetExecutionContext, project: "Project", dataset: "Dataset", days: Sequence["DayResult"]
) -> dg.AssetCheckResult:
    """Fails for as long as any file is refused, of this run or of an earlier one."""
    from mtac_assets.orchestration.triggers.arrival import refusals

    here = {day.key for day in days}
    refused = {day.key: "refused in this run" for day in days if day.status == "failed"}
    refused |= {
        key: hold.reason for key, hold in refusals(project, context.instance, dataset).items() if key not in here
    }
    return dg.AssetCheckResult(
        check_name=LANDED_CHECK,
        passed=not refused,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(refused)} landed files are refused" if refused else None,
        metadata={
            "refused files": len(refused),
            **(
                {"refused": metadata.table(["partition", "state"], sorted(refused.items())[:SHOWN_DAYS])}
                if refused
                else {}
            ),
        },
    )


def _materialized(day: "DayResult", *, partitioned: bool) -> Materialized:
    manifest = day.manifest
    assert manifest is not None
    shown: dict[str, Any] = {
        "dagster/row_count": manifest.rows,
        "quarantined rows": day.quarantined_rows,
        "state": day.status,
        **{check.name: check.evidence["rate"] for check in day.checks if check.name.startswith(NULL_RATE)},
        "content digest": manifest.content_digest,
        "file size (bytes)": manifest.file_size,
        "dagster/column_schema": metadata.schema(manifest.columns),
    }
    return Materialized(day.key if partitioned else None, manifest.content_digest, shown)


def _definition_metadata(place: "DatasetPlace") -> dict[str, Any]:
    dataset = place.dataset
    contract = place.folder / f"{dataset.contract.schema.partition(':')[0]}.py"
    bounds = dataset.contract.rows
    return {
        "source": dg.MetadataValue.json(dataset.source.model_dump(mode="json")),
        "row key": ", ".join(dataset.key),
        "rows a partition": f"{bounds.min:,} to {bounds.max:,}",
        "quarantined at most": f"{dataset.contract.max_quarantined:.1%} of a partition's rows",
        "known only afterwards": ", ".join(dataset.outcome_columns) or "nothing",
        "dagster/code_references": metadata.code(place.folder / "dataset.yaml", contract),
    }


def _checks_by_name(days: Sequence["DayResult"]) -> list[list[Any]]:
    counted: dict[str, list[int]] = {}
    for day in days:
        for check in day.checks:
            counted.setdefault(check.name, [0, 0])[0 if check.passed else 1] += 1
    return [[name, passed, failed] for name, (passed, failed) in counted.items()]
