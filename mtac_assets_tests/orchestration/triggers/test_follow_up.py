"""Which days' features are in step with the data: remembered while nothing stirs, asked anew when anything does."""

from __future__ import annotations

import time
from datetime import date, timedelta

from mtac_assets.orchestration.line import ingest_days
from mtac_assets.orchestration.place import recipe_place
from mtac_assets.orchestration.triggers.follow_up import feature_states
from mtac_assets.provenance.files import RACY_NS
from mtac_assets_tests.tides import write_day

DAYS = tuple((date(2024, 1, 1) + timedelta(days=offset)).isoformat() for offset in range(6))


def bring_in(project, days, **how) -> None:
    for day in days:
        write_day(project.root, date.fromisoformat(day), **how)
    ingest_days(project, "tides", days)
    time.sleep(RACY_NS / 1e9)  # a folder that was written just now proves nothing


def test_it_is_asked_anew_where_data_code_or_features_moved_and_only_there(daemon) -> None:
    project = daemon.project
    place = recipe_place(project.recipes()["floods"].parent)
    bring_in(project, DAYS)
    before = feature_states(place)
    assert (before[0], tuple(before[1])) == ((), DAYS)
    assert feature_states(place) is before

    daemon.run(daemon.tick("floods_follow_up").run_requests)
    time.sleep(RACY_NS / 1e9)
    ready = feature_states(place)
    assert ready == (DAYS, {})
    assert feature_states(place) is ready

    code = place.folder / "features.py"
    kept = code.read_text()
    code.write_text(kept.replace('rows[["level", "gauge"]]', 'rows[["level", "gauge"]].copy()'))
    assert tuple(feature_states(place)[1]) == DAYS, "no folder moved, but the code that computes features"
    code.write_text(kept)
    assert feature_states(place) == ready

    recipe = place.folder / "recipe.yaml"
    kept = recipe.read_text()
    recipe.write_text(kept.replace("history_days: 1", "history_days: 2"))
    assert tuple(feature_states(place)[1]) == DAYS[2:], "these look further back"
    recipe.write_text(kept)
    assert feature_states(place) == ready

    bring_in(project, DAYS[3:4], level_factor=0.9)
    assert tuple(feature_states(place)[1]) == DAYS[3:5], "a corrected day, and the one that looks back on it"
