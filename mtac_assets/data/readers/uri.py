"""Addresses as they may be written down: without user, password, query or fragment, and relative to the project inside it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


def public_uri(url: str) -> str:
    """`url` without credentials: no user, password, query (which may hold a signature) or fragment, also in fsspec chains."""
    return "::".join(_public(part) for part in url.split("::"))


def _public(part: str) -> str:
    if "://" not in part:
        return part
    split = urlsplit(part)
    return urlunsplit((split.scheme, split.netloc.rpartition("@")[2], split.path, "", ""))


def scrub(message: str, url: str) -> str:
    """`message` without what `url` keeps secret; for errors of libraries that quote the address they were given."""
    for part in url.split("::"):
        split = urlsplit(part) if "://" in part else None
        if split is None:
            continue
        user = split.netloc.rpartition("@")[0]
        for secret in (part, split.netloc if user else "", user, split.password or "", split.query):
            if secret:
                message = message.replace(secret, public_uri(part) if secret == part else "***")
    return message


def resolve(url: str, root: Path) -> str:
    """A path that is relative counts from the project's root; anything else stays."""
    return url if "://" in url or "::" in url or Path(url).is_absolute() else str(root / url)


def local_uri(path: Path, root: Path) -> str:
    """A local file as manifests record it: relative to the project where it lies inside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
