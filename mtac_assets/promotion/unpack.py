"""Packs, data and reports of fetched models, laid out in the state folder from their commits and the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mtac_assets.promotion.clean_room import fetch
from mtac_assets.provenance import refs
from mtac_assets.provenance.files import publish_folder, temporary_path, write_atomic
from mtac_assets.provenance.git import DATA, Repository
from mtac_assets.provenance.refs import ModelSummary
from mtac_assets.provenance.store import Store
from mtac_assets.spec.project import Project

_MODELS_AT_ONCE = 8  # most of the time is spent waiting for the disk


def unpack_all(project: Project) -> list[str]:
    """Lay out every recorded model that is not in the state yet; their IDs."""
    made = [summary for summary in refs.list_models(project) if not (project.state.models / summary.model_id).is_dir()]
    with ThreadPoolExecutor(_MODELS_AT_ONCE) as threads:
        # Only packs and reports at once: two models may know one day in two versions, of which the first found is kept whole.
        for waiting in [threads.submit(_unpack_data_of(project, summary)) for summary in made]:
            waiting.result()
    return [summary.model_id for summary in made]


def unpack(project: Project, summary: ModelSummary) -> None:
    """The pack, the report and the partitions of one model, from its commit and the store, each whole or not at all."""
    _unpack_data_of(project, summary)()


def _unpack_data_of(project: Project, summary: ModelSummary) -> Callable[[], None]:
    """Lay out the partitions of one model; what is returned lays out its report and its pack."""
    repository = Repository.at(project.root)
    files = refs.model_files(project, summary.model_id)
    contents = repository.read(files.values())
    pack: dict[str, bytes] = {}
    report: dict[str, bytes] = {}
    data: dict[str, bytes] = {}
    for path, blob in files.items():
        content = contents[blob]
        assert content is not None, "a commit whose blob is missing is no commit"
        if path.startswith("report/"):
            report[path.removeprefix("report/")] = content
        elif path.startswith("data/"):
            data[path.removeprefix("data/")] = content
        elif path not in (".gitignore", "requirements.txt"):
            pack[path] = content
    store = Store.of(project)
    _lay_out_data(project, store, data)

    def rest() -> None:
        for found, final in ((report, project.state.reports), (pack, project.state.models)):
            if found:
                _lay_out(store, found, final / summary.model_id)

    return rest


def unpack_data(project: Project) -> int:
    """The newest partitions of every dataset whose history is here, those that are in the state already left alone; how many."""
    repository, store = Repository.at(project.root), Store.of(project)
    count = 0
    for name in repository.text("for-each-ref", "--format=%(refname)", DATA).split():
        files = repository.list_tree(name)
        contents = repository.read(files.values())
        found = {path: content for path, blob in files.items() if (content := contents[blob]) is not None}
        count += _lay_out_data(project, store, found)
    return count


def _lay_out(store: Store, files: dict[str, bytes], final: Path) -> None:
    temporary = temporary_path(final)
    try:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        pointers = sorted(temporary.rglob("*.dvc"))
        fetch(store, pointers)
        for pointer in pointers:
            pointer.unlink()
        publish_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone already where all went well


def _lay_out_data(project: Project, store: Store, files: dict[str, bytes]) -> int:
    """Partitions that are not here yet; how many. One that is here stays: its content may be newer than this model's."""
    absent = {
        name
        for name in files
        if name.endswith(".parquet.dvc") and not (project.state.data / name.removesuffix(".dvc")).exists()
    }
    keys = {name.removesuffix(".parquet.dvc") for name in absent}
    for name in sorted(absent):
        write_atomic(project.state.data / name, files[name])
    fetch(store, [project.state.data / name for name in sorted(absent)])
    for name, content in sorted(files.items()):
        if name.removesuffix(".stamp.json").removesuffix(".json") in keys and name not in absent:
            write_atomic(project.state.data / name, content)
    return len(absent)
