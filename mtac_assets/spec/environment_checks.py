"""Rules between fields of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from mtac_assets.spec.checks import Check, Problem, repeated, rule
from mtac_assets.spec.environment import DataStore, Launcher, Mlflow, Promotion, Server, WebhookFile

CHECKS: list[Check] = []
LOCAL = "local"  # the one environment in which a model of a dirty tree may be promoted


@rule(CHECKS, "state")
def _state(state: str) -> Iterator[Problem]:
    if ".." in PurePosixPath(state).parts:
        expected = "a folder in the project, or an absolute path"
        yield Problem(("state",), f"`{state}` leaves the project by ..", expected, "write an absolute path")
    elif PurePosixPath(state) == PurePosixPath("."):
        yield Problem(("state",), "the state would lie among the project's own files", "a folder", "write .mtac")


@rule(CHECKS, "server", "state", "data", "mlflow")
def _server(server: Server | None, state: str, data: DataStore, mlflow: Mlflow) -> Iterator[Problem]:
    if server is None:
        return
    if not PurePosixPath(state).is_absolute():
        error = f"a server's services share one state folder, and `{state}` lies in one checkout"
        yield Problem(("state",), error, "an absolute path", "write the path of the mounted volume")
    if data.remote is None:
        error = "a server needs a store that outlives it"
        yield Problem(("data", "remote"), error, "any URL that DVC knows, or an absolute folder", "name the store")
    if mlflow.tracking_uri is not None:
        error = "MLflow's address is given twice"
        yield Problem(("mlflow", "tracking_uri"), error, "server.addresses.mlflow alone", "write null")
    if not (PurePosixPath(server.artifacts).is_absolute() or "://" in server.artifacts):
        error = f"`{server.artifacts}` is neither an absolute folder nor a URL"
        yield Problem(("server", "artifacts"), error, "/folder or scheme://…", "write one of them")
    if server.postgres.dagster_database == server.postgres.mlflow_database:
        error = "Dagster and MLflow would write their revisions over one another"
        yield Problem(("server", "postgres", "mlflow_database"), error, "a database for each", "name another")
    found = [server.addresses.code, server.addresses.webserver, server.addresses.viewer, server.addresses.mlflow]
    if len({(one.host, one.port) for one in found}) < len(found):
        error = "two services have the same host and port"
        yield Problem(("server", "addresses"), error, "one host and port each", "change one of them")


@rule(CHECKS, "launcher")
def _workers(launcher: Launcher) -> Iterator[Problem]:
    if launcher.workers & (launcher.workers - 1):
        error = f"{launcher.workers} workers cannot share a step's tree of sums"
        below = 1 << (launcher.workers.bit_length() - 1)
        yield Problem(("launcher", "workers"), error, "a power of two", f"write {below} or {2 * below}")


@rule(CHECKS, "webhooks")
def _webhooks(webhooks: tuple[str | WebhookFile, ...]) -> Iterator[Problem]:
    yield from repeated(("webhooks",), [one if isinstance(one, str) else one.url_file for one in webhooks])


@rule(CHECKS, "promotion")
def _promotion(promotion: Promotion) -> Iterator[Problem]:
    yield from repeated(("promotion", "branches"), promotion.branches)
    yield from repeated(("promotion", "approvers"), promotion.approvers)
    if promotion.approvers and not promotion.require_approval:
        error = "approvers are named, but no approval is required"
        yield Problem(("promotion", "approvers"), error, "both or none", "write require_approval: true, or remove them")
    if promotion.signing.required and promotion.signing.allowed_signers is None:
        error = "signatures are required, but nobody is named who may sign"
        yield Problem(("promotion", "signing", "allowed_signers"), error, "a file of keys", "name the file")
    for name in promotion.approvals_end:
        if name not in promotion.approvers:
            error = f"`{name}` is no approver"
            named = ", ".join(promotion.approvers) or "no approver is named"
            yield Problem(
                ("promotion", "approvals_end", name), error, f"one of: {named}", "correct the name, or add it"
            )


@rule(CHECKS, "name", "promotion")
def _clean(name: str, promotion: Promotion) -> Iterator[Problem]:
    """What is not committed can be tried out, and nowhere else go live."""
    if name != LOCAL and not promotion.require_clean:
        error = f"`{name}` would let a model of uncommitted changes go live"
        yield Problem(("promotion", "require_clean"), error, f"true everywhere but in {LOCAL}", "write true")
