from __future__ import annotations

import pytest

from mtac_assets.spec.project import Project
from mtac_assets.tracking import registry
from mtac_assets.tracking.connection import connected
from mtac_assets.tracking.errors import Unreachable


def test_a_model_has_one_version_however_often_it_is_registered(project: Project) -> None:
    numbers = [
        registry.register(project, "tides", "tides-0123456789ab", {"status": status})
        for status in ("candidate", "challenger")
    ]
    assert numbers == ["1", "1"]
    assert registry.register(project, "tides", "tides-ffffffffffff") == "2"
    with connected(project, "the test's question") as client:
        version = client.get_model_version("tides", "1")
        assert len(client.search_model_versions("name = 'tides'")) == 2
    assert version.tags == {"mtac.model_id": "tides-0123456789ab", "status": "challenger"}


def test_an_alias_points_at_a_model_and_moves(project: Project) -> None:
    assert registry.aliases(project, "tides") == {}
    for model_id in ("tides-0123456789ab", "tides-ffffffffffff"):
        registry.register(project, "tides", model_id)
        registry.set_alias(project, "tides", "champion", model_id)
        registry.set_alias(project, "tides", "champion", model_id)
        assert registry.aliases(project, "tides") == {"champion": model_id}
    registry.set_alias(project, "tides", "champion", None)
    registry.set_alias(project, "tides", "champion", None)
    assert registry.aliases(project, "tides") == {}


def test_an_alias_moved_by_hand_to_a_foreign_version_shows(project: Project) -> None:
    registry.register(project, "tides", "tides-0123456789ab")
    with connected(project, "a person's click") as client:
        foreign = client.create_model_version("tides", "elsewhere")
        client.set_registered_model_alias("tides", "champion", foreign.version)
    assert registry.aliases(project, "tides") == {"champion": "version 2"}


def test_an_unregistered_model_gets_no_alias(project: Project) -> None:
    registry.register(project, "tides", "tides-0123456789ab")
    with pytest.raises(KeyError, match="tides-ffffffffffff"):
        registry.set_alias(project, "tides", "champion", "tides-ffffffffffff")
    assert registry.aliases(project, "tides") == {}


def test_a_registry_that_is_away_says_so(unreachable: Project) -> None:
    with pytest.raises(Unreachable):
        registry.register(unreachable, "tides", "tides-0123456789ab")
