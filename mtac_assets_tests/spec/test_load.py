"""Loading recipes and datasets of a real project folder: what comes out, and what is said about faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from mtac_assets.spec.errors import Finding, SpecError
from mtac_assets.spec.load import check_recipe, load_dataset, load_recipe, load_resolved
from mtac_assets.spec.project import Project, find_project

RECIPE = "team/defs/returns/recipe.yaml"
AS_OF = date(2024, 2, 1)


def findings(call: Callable[[], object]) -> tuple[Finding, ...]:
    with pytest.raises(SpecError) as caught:
        call()
    assert all(f.error and f.where and f.expected and f.remedy for f in caught.value.findings)
    return caught.value.findings


def test_the_shipped_files_load(root: Path):
    shipped = find_project(root, "local")
    for name in shipped.datasets():
        assert load_dataset(shipped, name).name == name
    for name in shipped.recipes():
        timed = "window:" in shipped.recipes()[name].read_text()
        resolved = load_recipe(shipped, name, as_of=date(2013, 3, 1) if timed else None)
        assert resolved.windows().train[0] == ("2013-01-04" if timed else "all")


def test_a_recipe_is_loaded_by_name_path_and_folder(project: Project, monkeypatch: pytest.MonkeyPatch):
    by_name = load_recipe(project, "returns", as_of=AS_OF)
    assert by_name.recipe.training.learning_rate == 0.001
    assert by_name.recipe.training.schedule.kind == "constant"
    assert load_recipe(project, project.root / RECIPE, as_of=AS_OF) == by_name
    monkeypatch.chdir(project.root)
    assert load_recipe(project, RECIPE, as_of=AS_OF) == by_name
    assert load_recipe(project, "team/defs/returns", as_of=AS_OF) == by_name


def test_an_unknown_name_is_answered_with_the_one_meant(project: Project):
    (finding,) = findings(lambda: load_recipe(project, "retruns", as_of=AS_OF))
    assert finding.remedy == "write `returns`"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/hostname", "team/../../../etc"])
def test_a_path_that_leaves_the_project_is_refused(project: Project, name: str):
    (finding,) = findings(lambda: load_recipe(project, name, as_of=AS_OF))
    assert "leaves the project" in finding.error


def test_a_link_that_leaves_the_project_is_refused(project: Project, tmp_path_factory: pytest.TempPathFactory):
    outside = tmp_path_factory.mktemp("outside") / "recipe.yaml"
    shutil.copy(project.root / RECIPE, outside)
    (project.root / "link.yaml").symlink_to(outside)
    (finding,) = findings(lambda: load_recipe(project, project.root / "link.yaml", as_of=AS_OF))
    assert "leaves the project" in finding.error


def test_all_findings_at_once_each_with_its_line(project: Project, edit: Callable[..., int]):
    lines = {
        "learning_rate": edit("learning_rate: 1e-3", "lerning_rate: 1e-3"),
        "epochs": edit("epochs: 1", "epochs: '3'"),
        "optimizer": edit("adamw", "adamv"),
        "lookups": edit("[rain]", "[raim]"),
        "view": edit("features:view", "features:veiw"),
        "slice": edit("column: country", "column: contry"),
        "window": edit("validate_days: 2", "validate_days: 12"),
        "zone": edit("Europe/Berlin", "Europe/Berln"),
    }
    found = {finding.where: finding for finding in findings(lambda: load_recipe(project, "returns", as_of=AS_OF))}

    def at(line: str, field: str) -> Finding:
        return found.pop(f"{RECIPE}:{lines[line]} ({field})")

    assert at("learning_rate", "training.lerning_rate").remedy == "write `learning_rate`"
    assert at("epochs", "training.epochs").expected.startswith("a whole number, at least 1")
    assert at("optimizer", "training.optimizer").remedy in ("write `adamw`", "write `adam`")
    assert at("lookups", "data.lookups.0").remedy == "write `rain`"
    assert at("view", "features.view").remedy == "write features:view"
    assert at("slice", "gates.slices.0.column").remedy == "write `country`"
    assert at("window", "window.validate_days").expected == "at most 9"
    assert at("zone", "triggers.schedule.timezone").remedy == "write Europe/Berlin"
    assert [finding.error for finding in found.values()] == ["`training.learning_rate` is missing"]


@pytest.mark.parametrize(
    ("old", "new", "field", "word"),
    [
        ("epochs: 1", "epochs: true", "training.epochs", "true/false"),
        ("Europe/Berlin}", "Europe/Berlin}\n  upstream: [rian]", "triggers.upstream.0", "rian"),
        ("Europe/Berlin}", "Europe/Berlin}\n  upstream: [rain, rain]", "triggers.upstream.1", "more than once"),
        ("Europe/Berlin}", "Europe/Berlin}\n  upstream: []", "triggers.upstream", "watches nothing"),
        ("Europe/Berlin}", "Europe/Berlin}\n  upstream: rain", "triggers.upstream", "text"),
        ("Europe/Berlin}", "Europe/Berlin}\n  daily_budget: 0", "triggers.daily_budget", "0"),
        ("epochs: 1", "epochs: 1.0", "training.epochs", "a number"),
        ("epochs: 1", "epochs:", "training.epochs", "empty"),
        ("epochs: 1", "epochs: 0", "training.epochs", "0"),
        ("seed: 1", "seed: 1_000", "training.seed", "text"),
        ("schema_version: 1", "schema_version: true", "schema_version", "true"),
        ("schema_version: 1", "schema_version: 2", "schema_version", "2"),
        ("micro_batch_size: 32", "micro_batch_size: 48", "training.micro_batch_size", "does not divide"),
        ("kind: tabular_ensemble", "kind: tabular_ensembl", "model.kind", "no model"),
        ("kind: tabular_ensemble", "kind: 'network:build'", "model.kind", "does not exist"),
        ("features:label", "'features:label()'", "features.label", "label()"),
        ("features:label", "label:late", "features.label", "does not exist"),
        ("features:label", "..features:label", "features.label", "..features"),
        ("[country]\n  slices", "[country, pages]\n  slices", "features.categorical.1", "both"),
        ("[pages]", "[pages, pages]", "features.numeric.1", "more than once"),
        ("[rain]", "[visits]", "data.lookups.0", "itself"),
        ("roc_auc, min: 0.6", "roc_auc", "gates.thresholds.0", "without a bound"),
        ("roc_auc, min: 0.6", "roc_auc, min: 0.6, max: 0.5", "gates.thresholds.0.min", "above max"),
        ("log_loss, max: 0.7", "roc_auc, max: 0.7", "gates.thresholds.1", "second gate"),
        ("triggers:", "evaluation: {baselines: []}\ntriggers:", "gates.baseline.name", "not in evaluation"),
        ("0 3 * * mon-fri", "0 25 * * *", "triggers.schedule.cron", "no hour"),
        ("0 3 * * mon-fri", "0 3 * *", "triggers.schedule.cron", "4 fields"),
        ("Europe/Berlin", "../../etc/passwd", "triggers.schedule.timezone", "no time zone"),
        ("Europe/Berlin", "Europe", "triggers.schedule.timezone", "no time zone"),
        (
            "triggers:",
            "triggers:\n  drift: {}",
            "triggers.drift.window_days",
            "train_days 10 hold fewer than 20 windows of 1",
        ),
        ("name: returns", "name: refunds", "name", "folder"),
        ("owner: team:shop", "owner: shop", "owner", "shop"),
    ],
)
def test_one_fault_one_finding(project: Project, edit: Callable[..., int], old: str, new: str, field: str, word: str):
    line = edit(old, new)
    found = findings(lambda: load_recipe(project, "returns", as_of=AS_OF))
    assert len(found) == 1, found
    assert f"({field})" in found[0].where
    assert abs(int(found[0].where.partition(":")[2].partition(" ")[0]) - line) <= 2
    assert word in found[0].error


@pytest.mark.parametrize(
    ("old", "new", "field", "word"),
    [
        ("kind: files", "kind: fils", "source.kind", "fils"),
        ("kind: files, ", "", "source.kind", "missing"),
        ("format: csv", "format: csv, delimiter: ';'", "source.delimiter", "unknown key"),
        ("data/visits", "../data", "source.url", "leaves the project"),
        ("data/visits", "/data", "source.url", "leaves the project"),
        ("data/visits", "s3://me:secret@bucket/x", "source.url", "password"),
        ("visits-{date}.csv", "visits.csv", "source.pattern", "same file"),
        ("visits-{date}.csv", "{day}.csv", "source.pattern", "not known"),
        ("visits-{date}.csv", "{date:%m%d}.csv", "source.pattern", "tell every day"),
        ("visits-{date}.csv", "../{date}.csv", "source.pattern", "leaves"),
        ("start: 2024-01-01", "start: 2024-1-1", "partitions.start", "2024-1-1"),
        ("start: 2024-01-01", "start: 2024-02-30", "partitions.start", "2024-02-30"),
        ("end: 2024-03-31", "end: 2023-03-31", "partitions.end", "before start"),
        ("event_time: at\n", "", "event_time", "without"),
        ("key: [visit]", "key: []", "key", "empty list"),
        ("key: [visit]", "key: [visit]\noutcome_columns: [visit]", "outcome_columns.0", "only afterwards"),
        ("min: 1,", "min: 101,", "contract.rows.min", "above max"),
        ("min: 1,", "min: 0,", "contract.rows.min", "0"),
        ("contract:schema", "contract:shema", "contract.schema", "defines no"),
    ],
)
def test_faults_of_a_dataset(project: Project, edit: Callable[..., int], old: str, new: str, field: str, word: str):
    edit(old, new, "team/defs/visits/dataset.yaml")
    found = findings(lambda: load_dataset(project, "visits"))
    assert len(found) == 1, found
    assert f"({field})" in found[0].where
    assert word in found[0].error


def test_only_files_arrive(project: Project, edit: Callable[..., int]):
    edit("key: [at]", "key: [at]\narrival: {settle_seconds: 1}", "team/defs/rain/dataset.yaml")
    (finding,) = findings(lambda: load_dataset(project, "rain"))
    assert "watches a folder of files, but the source is of kind sql" in finding.error


def test_a_query_is_bounded(project: Project, edit: Callable[..., int]):
    edit("and at < :end", "and kind = :kind and x::date > '0:1'", "team/defs/rain/dataset.yaml")
    found = findings(lambda: load_dataset(project, "rain"))
    assert [finding.error for finding in found] == [
        "the query does not use :end",
        "the query uses :kind, which has no value",
    ]


def test_windows(project: Project):
    windows = load_recipe(project, "returns", as_of=AS_OF).windows()
    assert windows.history == tuple(f"2024-01-{day:02}" for day in range(17, 22))
    assert windows.train == tuple(f"2024-01-{day:02}" for day in range(22, 30))
    assert windows.validate == ("2024-01-30", "2024-01-31")
    assert windows.test == ("2024-02-01", "2024-02-02", "2024-02-03")
    assert windows.all == (*windows.history, *windows.train, *windows.validate, *windows.test)


def test_history_is_as_long_as_the_data_and_says_so(project: Project):
    resolved = load_recipe(project, "returns", as_of=date(2024, 1, 17))
    assert resolved.windows().history == ("2024-01-05", "2024-01-06")
    assert resolved.document()["history_start"] == "2024-01-05"


@pytest.mark.parametrize(
    ("as_of", "word", "remedy"),
    [
        (date(2024, 1, 14), "`rain` begins on 2024-01-05", "use --as-of 2024-01-15"),
        (date(2024, 3, 30), "`visits` ends on 2024-03-31", "use --as-of 2024-03-29"),
        (date(1950, 1, 1), "`visits` begins on 2024-01-01", "use --as-of 2024-01-15"),
    ],
)
def test_an_as_of_date_without_data_is_answered_with_one_that_has(
    project: Project, as_of: date, word: str, remedy: str
):
    found = findings(lambda: load_recipe(project, "returns", as_of=as_of))
    assert any(word in finding.error for finding in found)
    assert all(finding.expected == "an as-of date from 2024-01-15 to 2024-03-29" for finding in found)
    assert all(finding.remedy.startswith(remedy) for finding in found)
    assert found[0].where == f"--as-of {as_of}"


@pytest.mark.parametrize("as_of", [date.min, date.max])
def test_a_date_at_the_end_of_the_calendar_is_a_finding(project: Project, as_of: date):
    (finding,) = findings(lambda: load_recipe(project, "returns", as_of=as_of))
    assert finding.expected == "an as-of date from 2024-01-15 to 2024-03-29"


@pytest.mark.parametrize("as_of", [date(2024, 1, 15), date(2024, 3, 29)])
def test_the_first_and_last_feasible_dates_are_feasible(project: Project, as_of: date):
    assert load_recipe(project, "returns", as_of=as_of).as_of == as_of


def test_what_a_drift_trigger_needs(project: Project, edit: Callable[..., int]):
    edit("{train_days: 10", "{train_days: 45")
    edit("triggers:", "triggers:\n  drift: {window_days: 2, false_alarms: 0.005, min_effect: {shift: 0.2}}")
    drift = check_recipe(project, "returns").triggers.drift
    assert drift is not None
    assert (drift.window_days, drift.false_alarms, drift.persistence, drift.min_effect.shift) == (2, 0.005, 2, 0.2)
    edit("window_days: 2", "window_days: 3")
    edit("false_alarms: 0.005", "false_alarms: 0.001")
    found = {finding.where.partition("(")[2]: finding for finding in findings(lambda: check_recipe(project, "returns"))}
    assert found.pop("triggers.drift.window_days)").expected == "at most 2"
    assert found.pop("triggers.drift.resamples)").expected == "at least 3000"
    assert not found


def test_a_recipe_with_a_window_needs_a_date(project: Project):
    (finding,) = findings(lambda: load_recipe(project, "returns"))
    assert finding.expected == "an as-of date from 2024-01-15 to 2024-03-29"
    assert check_recipe(project, "returns").name == "returns"


def untimed(project: Project, edit: Callable[..., int]) -> None:
    edit("window: {train_days: 10, validate_days: 2, test_days: 3, history_days: 5}", "SPLIT")
    edit("SPLIT", "split: {validate_share: 0.2, test_share: 0.2, by: [visit], seed: 3}")
    edit("lookups: [rain]", "lookups: []")
    edit("triggers:", "evaluation: {bootstrap: {unit: row}}\ntriggers:")
    name = "team/defs/visits/dataset.yaml"
    edit("partitions: {kind: daily, date: day, start: 2024-01-01, end: 2024-03-31}", "partitions: {kind: none}", name)
    edit("visits-{date}.csv", "visits.csv", name)


def test_drift_needs_days(project: Project, edit: Callable[..., int]):
    untimed(project, edit)
    edit("triggers:", "triggers:\n  drift: {}")
    (finding,) = findings(lambda: check_recipe(project, "returns"))
    assert "the recipe has no time" in finding.error


def test_a_recipe_without_time_takes_no_date(project: Project, edit: Callable[..., int]):
    untimed(project, edit)
    resolved = load_recipe(project, "returns")
    assert resolved.windows().all == ("all",)
    assert resolved.document()["as_of"] is None
    (finding,) = findings(lambda: load_recipe(project, "returns", as_of=AS_OF))
    assert "without time" in finding.error


def test_a_recipe_without_time_draws_rows_and_has_no_days(project: Project, edit: Callable[..., int]):
    untimed(project, edit)
    edit("evaluation: {bootstrap: {unit: row}}\n", "")
    (finding,) = findings(lambda: load_recipe(project, "returns"))
    assert "draws days" in finding.error


def test_window_and_split_exclude_each_other(project: Project, edit: Callable[..., int]):
    split = "split: {validate_share: 0.2, test_share: 0.2, by: [], seed: 3}"
    edit("features:\n", f"{split}\nfeatures:\n")
    (finding,) = findings(lambda: load_recipe(project, "returns", as_of=AS_OF))
    assert "has a `window`" in finding.error
    edit("window: {train_days: 10, validate_days: 2, test_days: 3, history_days: 5}\n", "")
    found = findings(lambda: load_recipe(project, "returns"))
    assert sum("has daily partitions" in finding.error for finding in found) == 2


def test_a_fault_in_a_dataset_is_a_fault_of_its_recipe(project: Project, edit: Callable[..., int]):
    line = edit("max: 24", "max: x", "team/defs/rain/dataset.yaml")
    (finding,) = findings(lambda: load_recipe(project, "returns", as_of=AS_OF))
    assert finding.where == f"team/defs/rain/dataset.yaml:{line} (contract.rows.max)"


def test_what_is_not_python_is_a_finding(project: Project):
    (project.root / "team/defs/returns/features.py").write_text("def view(:\n")
    found = findings(lambda: load_recipe(project, "returns", as_of=AS_OF))
    assert all("features.py:1 is not Python" in finding.error for finding in found)


def test_nothing_of_the_team_is_run(project: Project):
    path = project.root / "team/defs/returns/features.py"
    path.write_text(path.read_text() + "\nraise SystemExit('ran')\n")
    assert load_recipe(project, "returns", as_of=AS_OF).name == "returns"


def test_the_document_holds_everything_and_no_path(project: Project, tmp_path: Path):
    resolved = load_recipe(project, "returns", ["training.epochs=4"], AS_OF)
    text = json.dumps(resolved.document())
    assert str(tmp_path) not in text
    assert resolved.document()["folder"] == "team/defs/returns"
    assert resolved.document()["training"]["weight_decay"] == 0.0
    path = tmp_path / "recipe.json"
    path.write_text(text)
    assert load_resolved(path, project) == resolved


def test_identity_leaves_out_what_decides_no_weight(project: Project, edit: Callable[..., int]):
    before = load_recipe(project, "returns", as_of=AS_OF)
    edit("Will the visitor come back?", "Another sentence.")
    edit("min: 0.6", "min: 0.7")
    edit("0 3 * * mon-fri", "0 4 * * *")
    after = load_recipe(project, "returns", ["training.epochs=1"], AS_OF)
    assert after.document() != before.document()
    assert after.identity_document() == before.identity_document()
    assert (
        load_recipe(project, "returns", ["training.epochs=2"], AS_OF).identity_document() != before.identity_document()
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda document: document.pop("as_of"), "missing"),
        (lambda document: document.update(as_of=None), "as_of"),
        (lambda document: document.update(folder="../elsewhere"), "leaves the project"),
        (lambda document: document.update(extra=1), "unknown key"),
        (lambda document: document["training"].update(micro_batch_size=48), "does not divide"),
    ],
)
def test_a_stored_document_is_checked_too(
    project: Project, tmp_path: Path, change: Callable[[dict[str, object]], object], word: str
):
    document = load_recipe(project, "returns", as_of=AS_OF).document()
    change(document)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(document))
    assert word in findings(lambda: load_resolved(path, project))[0].error


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', "\ud800", "[" * 100_000])
def test_what_is_no_document_is_a_finding(project: Project, tmp_path: Path, text: str):
    path = tmp_path / "recipe.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    findings(lambda: load_resolved(path, project))


TEXTS = """
schema_version: 1
name: small_lm
mix:
  tokens: 4000
  sequence_length: 16
  sources:
    prose: {dataset: prose, kind: real, ratio: 1/2}
    code: {dataset: prosa, kind: real, ratio: 1/2}
tokenizer: {kind: byte_bpe, vocabulary_size: 400, trained_on: [prose]}
split: {validate_share: 0.1, test_share: 0.1, seed: 3}
model: {kind: gpt, settings: {layers: 1, width: 16, heads: 1}}
evaluation: {suite: [arithmetic, "tasks:poems"]}
training:
  {seed: 7, batch_size: 8, micro_batch_size: 4, optimizer: adamw, learning_rate: 1e-3, precision: float32, device: cpu, threads: 1,
   checkpoint_every_steps: 20}
"""


def test_a_mix_that_names_a_dataset_and_a_task_that_nobody_wrote_is_told_of_both(project: Project):
    folder = project.root / "team" / "defs"
    for name, content in {
        "prose/dataset.yaml": "schema_version: 1\nname: prose\nsource: {kind: documents, function: source:documents}\n"
        "partitions: {kind: none}\nkey: [document]\n"
        "contract: {schema: contract:schema, max_quarantined: 0, rows: {min: 1, max: 100}}\n",
        "prose/contract.py": "schema = object\n",
        "prose/source.py": "def documents(): ...\n",
        "small_lm/recipe.yaml": TEXTS,
        "small_lm/tasks.py": "def poem(): ...\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    told = {finding.error: finding for finding in findings(lambda: check_recipe(project, "small_lm"))}
    assert set(told) == {"no dataset is called `prosa`", "team/defs/small_lm/tasks.py defines no `poems`"}
    assert told["no dataset is called `prosa`"].remedy == "write `prose`"
    assert "recipe.yaml:9" in told["no dataset is called `prosa`"].where
    recipe = folder / "small_lm" / "recipe.yaml"
    recipe.write_text(TEXTS.replace("prosa", "prose").replace("poems", "poem"))
    assert check_recipe(project, "small_lm").evaluation.suite == ("arithmetic", "tasks:poem")


def test_the_same_files_are_read_once_and_an_edit_of_any_is_seen_at_once(project: Project, edit: Callable[..., int]):
    recipe, dataset = check_recipe(project, "returns"), load_dataset(project, "rain")
    assert check_recipe(project, "returns") is recipe, "what stands in the same bytes was found valid before"
    assert load_dataset(project, "rain") is dataset
    assert check_recipe(project, "returns", ["training.epochs=4"]).training.epochs == 4

    edit("epochs: 1", "epochs: 5")
    edit("max: 24", "max: 25", "team/defs/rain/dataset.yaml")
    assert check_recipe(project, "returns").training.epochs == 5
    assert load_dataset(project, "rain").contract.rows.max == 25

    for beside, fault in (("returns/features.py", "def another(rows): ..."), ("rain/contract.py", "schema = 1 +")):
        path = project.root / "team/defs" / beside
        kept = path.read_text()
        path.write_text(fault)
        assert findings(lambda: check_recipe(project, "returns")), beside
        path.write_text(kept)
        assert check_recipe(project, "returns").training.epochs == 5

    (project.root / "team/defs/rain/dataset.yaml").unlink()
    assert findings(lambda: check_recipe(project, "returns"))
