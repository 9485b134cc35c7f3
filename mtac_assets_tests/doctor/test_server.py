"""A deployment with one thing wrong at a time: each is named with its remedy."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from mtac_assets.doctor import server
from mtac_assets.doctor.examine import examine
from mtac_assets.doctor.part import Part
from mtac_assets.orchestration import postgres_check
from mtac_assets.orchestration.prepare import prepare
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.image import DIGEST_VARIABLE, EXPECTED_VARIABLE, FOLDER_VARIABLE, ImageRefused
from mtac_assets.services.database import ANSWER_SECONDS, LOCK_SECONDS, DatabaseDown, SecretMissing, connected, url
from mtac_assets.spec import clock
from mtac_assets.spec.project import Project
from mtac_assets_tests.postgres import PASSWORD, Postgres, postgres
from mtac_assets_tests.running import until
from mtac_assets_tests.served import served
from mtac_assets_tests.tides import make_project


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres(databases=()) as made:
        yield made


@pytest.fixture(scope="module")
def prepared(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("deployment")
    project = served(make_project(folder / "coast"), folder, database.settings)
    said = list(prepare(project))
    assert "databases: made dagster and mlflow" in said
    assert "databases: both are there" in list(prepare(project)), "again: nothing is made"
    return project


def errors(found: Part) -> str:
    return " ".join(finding.error for finding in [*found.problems, *found.worries])


def changed(project: Project, **fields: object) -> Project:
    assert project.environment.server is not None
    server = project.environment.server.model_copy(update=fields)
    return replace(project, environment=project.environment.model_copy(update={"server": server}))


def test_before_the_services_start_they_alone_are_missing(prepared: Project) -> None:
    parts = {part.name: part for part in examine(prepared)}
    assert {name for name, part in parts.items() if part.state == "bad"} == {"services", "mlflow"}
    assert len(parts["services"].problems) == len(server.WATCHED)
    assert all("docker compose logs" in finding.remedy for finding in parts["services"].problems)
    assert "no tables yet" in errors(parts["databases"])
    assert "does not answer" in errors(parts["proxy"])


def test_a_database_of_an_older_schema(prepared: Project, database: Postgres) -> None:
    head = database.ask("select version_num from alembic_version", "dagster")
    database.ask("update alembic_version set version_num = '29a8e9d74220'", "dagster")
    try:
        (finding,) = server.databases(prepared).problems
        assert "29a8e9d74220" in finding.error
        assert head in finding.expected
        assert "mtac service migrate" in finding.remedy
        with pytest.raises(DatabaseDown, match="29a8e9d74220"):
            list(prepare(prepared))
    finally:
        database.ask(f"update alembic_version set version_num = '{head}'", "dagster")
    assert server.databases(prepared).problems == []


def test_mlflows_tables_of_an_older_schema(prepared: Project, database: Postgres) -> None:
    """As MLflow's server makes them at its first start, and an upgrade of it then finds them."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    head = postgres_check._mlflow_head()
    assert head == _get_latest_schema_revision()
    database.ask("create table alembic_version (version_num varchar(32))", "mlflow")
    database.ask("insert into alembic_version values ('451aebb31d03')", "mlflow")
    try:
        (finding,) = server.databases(prepared).problems
        assert "451aebb31d03" in finding.error
        assert "mtac service migrate" in finding.remedy
        with pytest.raises(DatabaseDown, match="451aebb31d03"):
            list(prepare(prepared))
        database.ask(f"update alembic_version set version_num = '{head}'", "mlflow")
        assert server.databases(prepared).problems == []
    finally:
        database.ask("drop table alembic_version", "mlflow")


@pytest.mark.fault
def test_a_table_that_somebody_holds_is_named_and_not_waited_for(prepared: Project, database: Postgres) -> None:
    with connected(database.settings, "dagster", seconds=0) as other, other.cursor() as cursor:
        cursor.execute("lock table alembic_version in access exclusive mode")
        began = time.monotonic()
        with pytest.raises(DatabaseDown, match="did not answer within 10 s") as raised:
            server.databases(prepared)
        assert ANSWER_SECONDS <= time.monotonic() - began < 3 * ANSWER_SECONDS
    assert "pg_stat_activity" in raised.value.findings[0].remedy
    assert server.databases(prepared).problems == []
    engine = create_engine(url(database.settings, "dagster"), connect_args={"password": PASSWORD})
    with engine.connect() as opened:
        assert opened.execute(text("show lock_timeout")).scalar_one() == f"{LOCK_SECONDS // 60}min"


def test_a_slow_database(prepared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SLOW_SECONDS", 0.0)
    assert "to answer one question" in errors(server.databases(prepared))


def test_a_database_that_is_down_and_one_that_lost_its_tables(prepared: Project, database: Postgres) -> None:
    database.kill()
    try:
        (part,) = [part for part in examine(prepared) if part.name == "databases"]
        assert part.state == "bad"
        assert "refused" in errors(part)
    finally:
        database.start()
    database.ask("create database empty")
    settings = database.settings.model_copy(update={"dagster_database": "empty"})
    (finding,) = postgres_check.problems_of(settings)
    assert "not there" in finding.error


def test_a_secret_that_is_missing(prepared: Project, tmp_path: Path, database: Postgres) -> None:
    settings = database.settings.model_copy(update={"password_file": str(tmp_path / "nothing")})
    with pytest.raises(SecretMissing, match="No such file"):
        server.secret(changed(prepared, postgres=settings))


def test_files_of_mlflow_that_cannot_be_written(prepared: Project, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, error in ((str(tmp_path / "file" / "below"), "Not a directory"), ("ss3://bucket", "Protocol not known")):
        found = server.artifacts(changed(prepared, artifacts=place))
        assert found.state == "bad"
        assert error in errors(found)
        assert "server.artifacts" in found.problems[0].remedy


def test_another_image_than_the_accepted_one(
    prepared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prepared.root / "constraints.txt").write_text("numpy==2.0\n")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=prepared.root, check=True, capture_output=True, text=True)
    built = {"schema_version": 1, "commit": head.stdout.strip(), "lock": sha256_file(prepared.root / "constraints.txt")}
    (tmp_path / "image.json").write_text(json.dumps(built))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv(DIGEST_VARIABLE, "registry.example.org/mtac@sha256:aa")
    monkeypatch.setenv(EXPECTED_VARIABLE, "sha256:aa")
    assert server.image(prepared).state == "good"
    (prepared.root / "constraints.txt").write_text("numpy==2.1\n")
    assert "lock here is not the one" in errors(server.image(prepared))
    (prepared.root / "constraints.txt").write_text("numpy==2.0\n")
    monkeypatch.setenv(EXPECTED_VARIABLE, "sha256:bb")
    assert "not the image that was accepted: sha256:aa" in errors(server.image(prepared))
    with pytest.raises(ImageRefused, match="sha256:bb"):
        list(prepare(prepared))


def test_a_certificate_that_ends_soon_is_told_before_it_does(prepared: Project, tmp_path: Path) -> None:
    """A server of openssl's own stands for the proxy; its certificate is trusted by SSL_CERT_FILE."""
    assert prepared.environment.server is not None
    page = prepared.environment.server.page
    port = page.rpartition(":")[2]
    request = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(["openssl", *request.split(), *files], check=True, capture_output=True)
    serving = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-cert", files[3], "-key", files[1]]
    with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
        try:
            with pytest.MonkeyPatch.context() as patch:
                until(lambda: "does not answer" not in errors(server.proxy(prepared)), "openssl to listen", 30)
                assert "not trusted here" in errors(server.proxy(prepared))
                patch.setenv("SSL_CERT_FILE", files[3])
                assert server.proxy(prepared).state == "good"
                later = clock.now() + timedelta(days=20)
                clock.set_clock(lambda: later)
                assert "its certificate ends on" in errors(server.proxy(prepared))
        finally:
            clock.set_clock(None)
            up.kill()
