"""MLflow as a view of the ledger: killed between any two steps, away, or moved by hand, it ends where the ledger says."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from mtac_assets.promotion import decide, told, view
from mtac_assets.promotion.errors import PromotionFrozen
from mtac_assets.provenance import ledger
from mtac_assets.tracking import registry
from mtac_assets.tracking.connection import connected
from mtac_assets_tests.promotion.conftest import VARIABLES, Line

# The process kills itself at the moment named by its first argument; what it was to do follows.
KILLED = """
import os, signal, sys
from mtac_assets.promotion import decide, view
from mtac_assets.spec.project import find_project
from mtac_assets.tracking import registry

moment, model_id = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def and_die(done):
    return lambda *arguments, **named: (done(*arguments, **named), die())

def mark(done):
    def register(project, recipe, model_id, tags=None):
        if view.APPLIED_TAG in tags:
            die()
        return done(project, recipe, model_id, tags)
    return register

match moment:
    case "ledger":
        view.settle = die
    case "version":
        registry.register = and_die(registry.register)
    case "alias":
        registry.set_alias = and_die(registry.set_alias)
    case "mark":
        registry.register = mark(registry.register)
decide.promote(find_project(), model_id, by="ada", reason="killed on the way")
"""


def promote(line: Line, model_id: str, code: int | None = 0) -> dict[str, Any]:
    return line.mtac("promote", model_id, "--by", "ada", "--reason", "test", code=code)


def environment(line: Line, old: str, new: str) -> None:
    path = line.project.environments / "local.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def versions(line: Line) -> list[str]:
    with connected(line.project, "the test's question") as client:
        return [version.version for version in client.search_model_versions("name = 'floods'")]


def crown(line: Line, model_id: str) -> None:
    ledger.append(line.project, "local", kind="promote", recipe="floods", model_id=model_id, actor="ada", reason="good")


@pytest.mark.fault
def test_killed_between_any_two_steps_of_a_promotion_it_is_completed_once(line: Line, model: dict[str, Any]) -> None:
    model_id = model["model_id"]
    line.rebuilt(model_id)
    for moment in ("ledger", "version", "alias", "mark"):
        assert line.script(KILLED, moment, model_id).returncode == -signal.SIGKILL, moment
        assert line.kinds() == ["reproduction", "challenger", "promote"], moment
    assert promote(line, model_id)["warnings"] == []
    assert line.kinds() == ["reproduction", "challenger", "promote"], "one transition, and no alias moved by hand"
    assert registry.aliases(line.project, "floods") == {"champion": model_id}
    assert len(versions(line)) == 1


def test_promoting_the_challenger_is_no_alias_moved_by_hand(line: Line, model: dict[str, Any]) -> None:
    """MLflow still calls it challenger when the ledger has made it champion: it lags, nobody moved anything."""
    model_id = model["model_id"]
    line.rebuilt(model_id)
    assert view.settle(line.project, "floods") == []
    assert registry.aliases(line.project, "floods") == {"challenger": model_id}
    crown(line, model_id)
    assert view.settle(line.project, "floods") == []
    assert registry.aliases(line.project, "floods") == {"champion": model_id}
    registry.set_alias(line.project, "floods", "challenger", model_id)
    assert [one.alias for one in view.settle(line.project, "floods")] == ["challenger"], "this one was"


def test_where_the_environment_says_freeze_a_moved_alias_is_left_and_promotions_stop(
    line: Line, model: dict[str, Any]
) -> None:
    environment(line, "require_approval: false", "require_approval: false, moved_alias: freeze")
    crown(line, model["model_id"])
    assert view.settle(line.project, "floods") == []
    registry.set_alias(line.project, "floods", "champion", None)
    with pytest.raises(PromotionFrozen, match="moved by hand"):
        view.settle(line.project, "floods")
    assert registry.aliases(line.project, "floods") == {}
    refused = promote(line, model["model_id"], code=2)
    assert "moved by hand to nothing" in refused["errors"][0]["error"]
    assert line.kinds()[0] == "promote"
    assert set(line.kinds()[1:]) == {"alias_moved"}


@pytest.mark.fault
def test_a_promotion_while_mlflow_is_away_stands_and_is_told_later(line: Line, model: dict[str, Any]) -> None:
    model_id = model["model_id"]
    line.rebuilt(model_id)
    with line.mlflow_away():
        decision = promote(line, model_id)
        assert decision["promoted"] is True
        assert "MLflow was not told yet" in decision["warnings"][0]
    assert line.kinds() == ["reproduction", "challenger", "promote"]
    assert registry.aliases(line.project, "floods") == {}
    assert decide.settle_all(line.project) == [], "the next start"
    assert registry.aliases(line.project, "floods") == {"champion": model_id}
    assert line.kinds() == ["reproduction", "challenger", "promote"]


def test_after_several_decisions_while_mlflow_was_away_every_former_champion_is_archived(
    line: Line, model: dict[str, Any]
) -> None:
    """Not only the last one: whoever filters by `mtac.status = champion` finds one model."""
    first, second, third = model["model_id"], "floods-" + "1" * 12, "floods-" + "2" * 12
    crown(line, first)
    assert view.settle(line.project, "floods") == []
    crown(line, second)
    crown(line, third)
    assert view.settle(line.project, "floods") == []
    told = registry.all_tags(line.project, "floods")
    assert {model_id: tags[view.STATUS_TAG] for model_id, tags in told.items()} == {
        first: "archived",
        second: "archived",
        third: "champion",
    }
    assert registry.aliases(line.project, "floods") == {"champion": third}


def test_an_alias_that_another_process_moves_by_its_decision_is_moved_by_no_hand(
    line: Line, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides and tells MLflow between our look at the ledger and our look at MLflow, from a machine that shares no lock."""
    first, second = model["model_id"], "floods-" + "1" * 12
    crown(line, first)
    assert view.settle(line.project, "floods") == []
    looked: list[dict[str, str]] = []
    look = registry.aliases

    def aliases(*arguments: Any) -> dict[str, str]:
        if not looked:
            crown(line, second)
            registry.register(line.project, "floods", second)
            registry.set_alias(line.project, "floods", "champion", second)
        looked.append(look(*arguments))
        return looked[-1]

    monkeypatch.setattr(registry, "aliases", aliases)
    assert view.settle(line.project, "floods") == []
    assert looked[0] == looked[-1] == {"champion": second}
    assert line.kinds() == ["promote", "promote"], "nobody is accused"


# A process that decides and tells MLflow, beside others. Its first look at MLflow takes seconds, for it loads the client.
DECIDES = """
import sys
from mtac_assets.promotion import view
from mtac_assets.provenance import ledger
from mtac_assets.spec.project import find_project

project, names = find_project(), sys.argv[2:]
for name in names:
    ledger.append(
        project, "local", kind="promote", recipe="floods", model_id=name, actor=sys.argv[1], reason="good"
    )
    assert view.settle(project, "floods") == [], "somebody is accused"
"""


@pytest.mark.fault
@pytest.mark.slow
def test_four_who_decide_at_once_accuse_nobody_and_mlflow_ends_where_the_ledger_does(
    line: Line, model: dict[str, Any]
) -> None:
    names = [model["model_id"], *("floods-" + digit * 12 for digit in "123")]
    everyone = [
        subprocess.Popen(
            [sys.executable, "-c", DECIDES, f"writer {each}", *names[each:], *names[:each]],
            cwd=line.root,
            env=VARIABLES,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in range(4)
    ]
    while any(process.poll() is None for process in everyone):  # and one who starts commands that only follow
        assert view.settle(line.project, "floods") == []
    for process in everyone:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert line.kinds() == ["promote"] * 16
    champion = ledger.champion_at(line.project, "local", "floods")
    assert champion is not None
    assert registry.aliases(line.project, "floods") == {"champion": champion.model_id}


def test_what_one_decision_told_the_next_start_need_not_tell_again(line: Line, model: dict[str, Any]) -> None:
    """Unless something else of the ledger was left to tell: another recipe's promotion, while MLflow was away."""
    crown(line, model["model_id"])
    assert decide.follow(line.project, "floods") == ()
    assert told.is_told(line.project)
    line.rebuilt(model["model_id"])
    line.mtac("promote", model["model_id"], "--by", "ada", "--reason", "again")
    assert told.is_told(line.project), "the entry of the rebuild was told with it"
    with line.mlflow_away():
        ledger.append(
            line.project, "local", kind="promote", recipe="tides", model_id="tides-" + "1" * 12, actor="a", reason="b"
        )
        assert len(decide.settle_all(line.project)) == 2
    crown(line, model["model_id"])
    assert decide.follow(line.project, "floods") == ()
    assert not told.is_told(line.project), "nobody told it of the tides"
    assert decide.settle_all(line.project) == []
    assert told.is_told(line.project)


def test_a_start_with_nothing_to_tell_does_not_ask_mlflow(line: Line, model: dict[str, Any]) -> None:
    crown(line, model["model_id"])
    with line.mlflow_away():
        assert "MLflow was not told yet" in decide.settle_all(line.project)[0]
    assert decide.settle_all(line.project) == []
    with line.mlflow_away():
        assert decide.settle_all(line.project) == []
        line.rebuilt(model["model_id"])
        assert decide.settle_all(line.project) != []


def test_a_forged_ledger_is_not_followed(line: Line, model: dict[str, Any]) -> None:
    crown(line, model["model_id"])
    name = "refs/mtac/ledger/local"
    body = line.git("log", "-1", "--format=%B", name).replace('"actor":"ada"', '"actor":"eve"')
    line.git("update-ref", name, line.git("commit-tree", f"{name}^{{tree}}", "-m", body))
    (warning,) = decide.settle_all(line.project)
    assert warning.startswith("MLflow does not follow the ledger: entry 1") or "ledger" in warning
    assert registry.aliases(line.project, "floods") == {}


def test_without_a_repository_there_is_nothing_to_follow_and_it_is_said(line: Line) -> None:
    shutil.rmtree(line.root / ".git")
    (warning,) = decide.settle_all(line.project)
    assert "repository" in warning


KILLED_RUN = """
import os, signal, sys
from mtac_assets.cli.app import run
from mtac_assets.provenance import record

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

record.record_model = die
run(["run", "floods", "--as-of", sys.argv[1], "--json"])
"""


@pytest.mark.slow
@pytest.mark.fault
def test_killed_between_pack_and_commit_while_mlflow_is_away_the_next_start_completes_it(
    line: Line, model: dict[str, Any]
) -> None:
    """Training does not need MLflow; what is whole is not trained again; MLflow gets one run of it."""
    with line.mlflow_away():
        assert line.script(KILLED_RUN, "2024-01-09").returncode == -signal.SIGKILL
    packs = {path.parent.name: path.read_bytes() for path in line.project.state.models.glob("*/pack.json")}
    (made,) = packs.keys() - {model["model_id"]}
    assert [one["model_id"] for one in line.mtac("models")["models"]] == [model["model_id"]]

    done = line.mtac("run", "floods", "--as-of", "2024-01-09")
    assert (done["model_id"], done["status"]) == (made, "built")
    assert (line.project.state.models / made / "pack.json").read_bytes() == packs[made], "not trained again"
    assert {one["model_id"] for one in line.mtac("models")["models"]} == {model["model_id"], made}
    with connected(line.project, "the test's question") as client:
        experiment = client.get_experiment_by_name("floods")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], f"tags.`mtac.model_id` = '{made}'")
    assert [run.info.status for run in runs] == ["FINISHED"]


def test_an_mlflow_that_is_delivered_nothing_learns_it_all_once_it_is(line: Line, model: dict[str, Any]) -> None:
    silent = line.project.environment.mlflow.model_copy(update={"deliver": False})
    project = replace(line.project, environment=line.project.environment.model_copy(update={"mlflow": silent}))
    crown(line, model["model_id"])
    assert view.settle(project, "floods") == []
    assert decide.settle_all(project, ask_again=True) == []
    assert registry.aliases(line.project, "floods") == {}
    assert decide.settle_all(line.project) == []
    assert registry.aliases(line.project, "floods") == {"champion": model["model_id"]}
