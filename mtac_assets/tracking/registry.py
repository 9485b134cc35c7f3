"""MLflow's model registry as a view of ours: one version a Model ID, and aliases that point where the ledger says.

Who may go live is decided in `promotion/`; nothing here decides. Everything may be repeated: the version is found by
its tag `mtac.model_id`. Raises Unreachable where MLflow does not answer and Refused where it says no.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mtac_assets.tracking.connection import connected
from mtac_assets.tracking.description import MODEL_ID_TAG

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking.client import MlflowClient

    from mtac_assets.spec.project import Project

SOURCE = "git:///refs/mtac/models/"


def register(project: Project, recipe: str, model_id: str, tags: Mapping[str, str] | None = None) -> str:
    """The version of `model_id` under the registered model `recipe`, made where it does not exist; returns its number.

    Its source is the model's commit, by its reference in Git: a folder of this machine would say nothing to others, and a server of
    MLflow refuses one. It links to the run that recorded the training, where there is one. `tags` are set on an existing version, too.
    """
    with connected(project, f"registering {model_id}") as client:
        _ensure_model(client, recipe)
        found = _versions(client, recipe, model_id)
        version = found[0] if found else _create(client, recipe, model_id)
        for name, value in (tags or {}).items():
            client.set_model_version_tag(recipe, version.version, name, value)
        return str(version.version)


def set_alias(project: Project, recipe: str, alias: str, model_id: str | None) -> None:
    """Point `alias` at the version of `model_id`, or remove it where that is None. Raises KeyError for an unregistered id."""
    with connected(project, f"alias {alias} of {recipe}") as client:
        if model_id is None:
            if alias in _aliases(client, recipe):
                client.delete_registered_model_alias(recipe, alias)
            return
        found = _versions(client, recipe, model_id)
        if not found:
            raise KeyError(f"{model_id} is not registered under {recipe}; register() it first")
        client.set_registered_model_alias(recipe, alias, str(found[0].version))


def aliases(project: Project, recipe: str) -> dict[str, str]:
    """Alias to Model ID, as MLflow has it now; a version without our tag shows as `version <n>`, for it was not ours."""
    with connected(project, f"aliases of {recipe}") as client:
        named: dict[str, str] = {}
        for alias, number in _aliases(client, recipe).items():
            tags = client.get_model_version(recipe, number).tags
            named[alias] = tags.get(MODEL_ID_TAG, f"version {number}")
        return named


def version_tags(project: Project, recipe: str, model_id: str) -> dict[str, str] | None:
    """The tags of the version of `model_id`; None where it is not registered."""
    with connected(project, f"version of {model_id}") as client:
        found = _versions(client, recipe, model_id)
        return dict(found[0].tags) if found else None


def all_tags(project: Project, recipe: str) -> dict[str, dict[str, str]]:
    """Model ID to the tags of its version, for every version of the recipe that is ours."""
    found: dict[str, dict[str, str]] = {}
    with connected(project, f"versions of {recipe}") as client:
        token: str | None = None
        while True:
            page = client.search_model_versions(f"name = '{recipe}'", page_token=token)
            for version in page:
                if MODEL_ID_TAG in version.tags:
                    found.setdefault(version.tags[MODEL_ID_TAG], dict(version.tags))
            token = page.token
            if not token:
                return found


def _ensure_model(client: MlflowClient, recipe: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(recipe)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _create(client: MlflowClient, recipe: str, model_id: str) -> ModelVersion:
    """A new version; of two processes that made one at once, both keep the lower number."""
    made = client.create_model_version(
        recipe,
        SOURCE + model_id,
        run_id=_run(client, recipe, model_id),
        tags={MODEL_ID_TAG: model_id},
        await_creation_for=0,
    )
    first = _versions(client, recipe, model_id)[0]
    if str(first.version) != str(made.version):
        client.delete_model_version(recipe, str(made.version))
    return first


def _run(client: MlflowClient, recipe: str, model_id: str) -> str | None:
    """The newest run that recorded a training of the model; None where MLflow has none (yet)."""
    experiment = client.get_experiment_by_name(recipe)
    if experiment is None:
        return None
    asked = f"tags.`{MODEL_ID_TAG}` = '{model_id}'"
    runs = client.search_runs([experiment.experiment_id], asked, order_by=["attributes.start_time DESC"], max_results=1)
    return runs[0].info.run_id if runs else None


def _versions(client: MlflowClient, recipe: str, model_id: str) -> list[ModelVersion]:
    found = client.search_model_versions(f"name = '{recipe}' and tags.`{MODEL_ID_TAG}` = '{model_id}'")
    return sorted(found, key=lambda version: int(version.version))


def _aliases(client: MlflowClient, recipe: str) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        return {alias: str(number) for alias, number in client.get_registered_model(recipe).aliases.items()}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
