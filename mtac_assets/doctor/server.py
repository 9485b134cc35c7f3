"""A deployment: its image, its secrets, its databases, MLflow's files, its services, and the proxy before them."""

from __future__ import annotations

import secrets
import socket
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from mtac_assets.doctor.part import Examine, Part
from mtac_assets.orchestration.postgres_check import SLOW_SECONDS, problems_of, seconds_to_answer
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.image import image as image_here
from mtac_assets.provenance.image import unexpected
from mtac_assets.services.database import asked, connected, password
from mtac_assets.services.server import WATCHED, healthy, server_of
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project

TLS_SECONDS = 5.0
RENEW_BEFORE = timedelta(days=14)


def image(project: Project) -> Part:
    """Whether this is the accepted image, and its code and lock are what it was built from."""
    found = image_here()
    if found is None:
        worry = Finding(
            "this process runs outside an image",
            "MTAC_IMAGE",
            "the image that deploy/Dockerfile builds",
            "run it where the services run: docker compose exec code mtac doctor",
        )
        return Part("image", "none", (), [worry])
    problems = unexpected(found)
    head = Repository.at(project.root).resolve("HEAD")
    lock = sha256_file(project.root / "constraints.txt")
    for what, is_here, built in (("commit", head, found.commit), ("lock", lock, found.lock)):
        if is_here != built:
            problems.append(
                Finding(
                    f"the {what} here is not the one that the image was built from: {is_here}",
                    str(project.root),
                    built,
                    "deploy the image again; nothing may be mounted over its code",
                )
            )
    return Part(
        "image", f"{found.digest or 'no digest told'}, code {found.commit[:12]}, lock {found.lock[:12]}", problems
    )


def secret(project: Project) -> Part:
    """Whether the password's file can be read. Raises SecretMissing."""
    file = server_of(project).postgres.password_file
    password(file)
    return Part("secrets", f"{file} can be read")


def databases(project: Project) -> Part:
    """Both databases: there, quick to answer, of the installed versions' schema. Raises DatabaseDown, SecretMissing."""
    postgres = server_of(project).postgres
    problems = problems_of(postgres)
    worries: list[Finding] = []
    times: list[str] = []
    for name in (postgres.dagster_database, postgres.mlflow_database):
        seconds = seconds_to_answer(postgres, name)
        times.append(f"{name} answers in {seconds * 1000:.0f} ms")
        if seconds > SLOW_SECONDS:
            worries.append(
                Finding(
                    f"the database took {seconds:.1f} s to answer one question",
                    f"{postgres.host}:{postgres.port}/{name}",
                    f"under {SLOW_SECONDS:.0f} s",
                    "look at PostgreSQL's load and connections (pg_stat_activity), its disk, and the network between",
                )
            )
    with connected(postgres, postgres.mlflow_database) as opened:
        tables = asked(opened, "select count(*) from pg_tables where schemaname = 'public'")[0][0]
    if not tables:
        where = f"{postgres.host}:{postgres.port}/{postgres.mlflow_database}"
        worries.append(Finding("MLflow has no tables yet", where, "tables", "start MLflow: mtac service mlflow"))
    return Part("databases", ", ".join(times), problems, worries)


def artifacts(project: Project) -> Part:
    """Whether MLflow's files can be written where the environment says, read back and removed."""
    import fsspec

    place = server_of(project).artifacts
    content = secrets.token_bytes(1 << 10)
    name = f"{place.rstrip('/')}/.mtac-doctor-{secrets.token_hex(4)}"
    try:
        system, path = fsspec.url_to_fs(name)
        system.pipe_file(path, content)
        back = system.cat_file(path)
        system.rm_file(path)
    except (OSError, ImportError, ValueError) as error:
        finding = Finding(
            f"MLflow's files cannot be written: {getattr(error, 'strerror', None) or error}",
            place,
            "a folder or store that the services' user may write to",
            "see server.artifacts, its credentials, the folder's owner, and whether its volume is mounted read-only",
        )
        return Part("artifacts", place, [finding])
    problems = [] if back == content else [Finding("other bytes came back", place, "those sent", "look at the store")]
    return Part("artifacts", f"{place} can be written to", problems)


def services(project: Project) -> Part:
    """Whether each service does its work, by its own health check."""
    well = {name: healthy(project, name) for name in WATCHED}
    problems = [
        Finding(
            f"the service {name} does not do its work",
            f"server.addresses of {project.environment.name}",
            "every service healthy",
            f"docker compose ps {name}, docker compose logs {name}; it is `mtac service {name}`",
        )
        for name, is_well in well.items()
        if not is_well
    ]
    return Part("services", ", ".join(name for name, is_well in well.items() if is_well) or "none answers", problems)


def proxy(project: Project) -> Part:
    """Whether the proxy answers under the page's name, with a certificate that is trusted and will be for a while."""
    page = server_of(project).page
    parts = urlsplit(page)
    host, port = parts.hostname or "", parts.port or 443
    remedy = "write tls_certificate and tls_key (docs/deploy.md), then docker compose restart proxy"
    try:
        with (
            socket.create_connection((host, port), timeout=TLS_SECONDS) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return _worry(page, f"its certificate is not trusted here: {error.verify_message}", remedy)
    except OSError as error:
        up = "see docker compose logs proxy: without a certificate it does not start, without log-ins it lets nobody in"
        return _worry(page, f"it does not answer: {error.strerror or error}", up)
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    if ends - clock.now() < RENEW_BEFORE:
        return _worry(page, f"its certificate ends on {ends:%Y-%m-%d}", remedy)
    return Part("proxy", f"{page} answers; its certificate ends on {ends:%Y-%m-%d}")


def _worry(page: str, error: str, remedy: str) -> Part:
    """What may be no more than a view from inside: people come from elsewhere."""
    return Part("proxy", page, (), [Finding(error, page, "a proxy that people can reach and trust", remedy)])


PARTS: dict[str, Examine] = {
    "image": image,
    "secrets": secret,
    "databases": databases,
    "artifacts": artifacts,
    "services": services,
    "proxy": proxy,
}
