"""One small project with its texts ingested, for tests that only read it."""

from __future__ import annotations

import pytest

from mtac_assets.spec.project import Project
from mtac_assets_tests.texts import ingest_texts, make_texts


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_texts(tmp_path_factory.mktemp("texts"))
    ingest_texts(project)
    return project
