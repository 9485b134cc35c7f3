"""The image that this code runs in, where it runs in one: which commit and which lock it was built from.

`deploy/lay_out.sh` bakes `image.json` and the commit's history (`code.bundle`) into the folder that MTAC_IMAGE names. The digest is
known only after the build; who deploys passes it in MTAC_IMAGE_DIGEST, and in MTAC_IMAGE_EXPECTED the one that staging accepted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mtac_assets.provenance.document import read_object
from mtac_assets.spec.errors import Finding, MtacError, raise_all

FOLDER_VARIABLE = "MTAC_IMAGE"
DIGEST_VARIABLE = "MTAC_IMAGE_DIGEST"
EXPECTED_VARIABLE = "MTAC_IMAGE_EXPECTED"
DOCUMENT, BUNDLE = "image.json", "code.bundle"
SCHEMA_VERSION = 1


class ImageDamaged(MtacError):
    """MTAC_IMAGE names a folder that no build of ours has written."""


class ImageRefused(MtacError):
    """Another image than the one that was accepted."""

    exit_code = 1


@dataclass(frozen=True)
class Image:
    """`commit` of the code, SHA-256 of constraints.txt as `lock`, and the image's own digest where it was told."""

    commit: str
    lock: str
    digest: str | None

    def document(self) -> dict[str, str | None]:
        return {"commit": self.commit, "lock": self.lock, "digest": self.digest}


def folder() -> Path | None:
    """Where the build left what it knows; None outside an image."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else None


def image() -> Image | None:
    """The image around this process; None outside one. Raises ImageDamaged."""
    place = folder()
    if place is None:
        return None
    path = place / DOCUMENT
    found = read_object(path) if path.is_file() else None
    if found is None or found.get("schema_version") != SCHEMA_VERSION or not {"commit", "lock"} <= found.keys():
        expected = f"an object with schema_version {SCHEMA_VERSION}, commit and lock"
        remedy = f"build the image by deploy/Dockerfile, or unset {FOLDER_VARIABLE}"
        raise ImageDamaged(Finding("the image does not say what it was built from", str(path), expected, remedy))
    return Image(found["commit"], found["lock"], _digest(DIGEST_VARIABLE))


def accepted() -> Image | None:
    """As `image`, for whoever is about to work in it. Raises ImageRefused where another was accepted, ImageDamaged."""
    found = image()
    if found is not None:
        raise_all(ImageRefused, unexpected(found))
    return found


def unexpected(found: Image) -> list[Finding]:
    """What is wrong with running this image here: it has another digest than the one that was accepted."""
    expected = _digest(EXPECTED_VARIABLE)
    if expected is None or expected == found.digest:
        return []
    return [
        Finding(
            f"this is not the image that was accepted: {found.digest or 'it was deployed without a digest'}",
            DIGEST_VARIABLE,
            f"{expected} ({EXPECTED_VARIABLE})",
            "deploy the image that staging accepted, by its digest; or have staging accept this one",
        )
    ]


def _digest(variable: str) -> str | None:
    """The digest in a variable that holds one, or a reference that ends with one."""
    return os.environ.get(variable, "").rpartition("@")[2] or None
