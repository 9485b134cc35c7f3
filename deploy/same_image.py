"""Is this the image that staging has proved? `python deploy/same_image.py --proved FILE --deploy REFERENCE`.

FILE is what the release wrote after the line ran on staging: `{"schema_version": 1, "image": NAME, "digest": "sha256:...", "commit": ...}`,
and `worker`, the reference of the run pods' image of the same build, where there is one.
REFERENCE is what is about to be deployed, which must name a digest: a tag may point elsewhere by now. Exit code 1 where it is another.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

REFERENCE = re.compile(r"(?P<image>[^\s@]+)@(?P<digest>sha256:[0-9a-f]{64})")


def problem(proved: Any, reference: str) -> str | None:
    """Why `reference` must not be deployed; None where it is the image that `proved` names."""
    if not isinstance(proved, dict) or proved.get("schema_version") != 1:
        return "the proof is no document of version 1: deploy to staging and run the line there first"
    known = REFERENCE.fullmatch(f"{proved.get('image')}@{proved.get('digest')}")
    if known is None:
        return f"the proof names no image by digest: {proved.get('image')!r}, {proved.get('digest')!r}"
    wanted = REFERENCE.fullmatch(reference)
    if wanted is None:
        return f"{reference!r} names no digest; write IMAGE@sha256:..., for a tag may point elsewhere by now"
    if wanted["digest"] != known["digest"]:
        return (
            f"{wanted['digest']} was never proved on staging; {known['digest']} was, of commit {proved.get('commit')}"
        )
    if wanted["image"] != known["image"]:
        return f"the digest is the proved one, but of another repository: {wanted['image']}, not {known['image']}"
    return None


def document(reference: str, commit: str, worker: str | None = None) -> dict[str, Any] | None:
    """The proof of an image and, where it has one, of its worker; None where one of them names no digest."""
    found = REFERENCE.fullmatch(reference)
    if found is None or (worker is not None and REFERENCE.fullmatch(worker) is None):
        return None
    named = {"schema_version": 1, **found.groupdict(), "commit": commit}
    return named if worker is None else named | {"worker": worker}


def main() -> int:
    parser = argparse.ArgumentParser(description="Refuse every image but the one that was proved on staging.")
    parser.add_argument("--proved", type=Path, required=True, help="document that the release writes on staging")
    parser.add_argument("--deploy", metavar="IMAGE@sha256:...", help="what is about to be deployed")
    parser.add_argument(
        "--write", metavar="COMMIT", help="write the document: this image of this commit was proved just now"
    )
    parser.add_argument("--worker", metavar="IMAGE@sha256:...", help="the run pods' image of the same build")
    parser.add_argument("--show", action="store_true", help="print the image that was proved")
    options = parser.parse_args()
    if options.write is not None:
        made = document(options.deploy or "", options.write, options.worker)
        if made is None:
            named = " and ".join(repr(one) for one in (options.deploy, options.worker) if one is not None) or "nothing"
            print(f"refused: not by digest: {named}", file=sys.stderr)
            return 1
        options.proved.write_text(json.dumps(made, indent=2) + "\n")
        return 0
    try:
        proved = json.loads(options.proved.read_bytes())
    except (OSError, ValueError) as error:
        print(f"refused: {options.proved} cannot be read: {error}", file=sys.stderr)
        return 1
    reference = options.deploy or ""
    if options.show and isinstance(proved, dict):
        reference = f"{proved.get('image')}@{proved.get('digest')}"
    found = problem(proved, reference)
    if found is not None:
        print(f"refused: {found}", file=sys.stderr)
        return 1
    print(reference if options.show else f"{reference} is the image that was proved on staging")
    return 0


if __name__ == "__main__":
    sys.exit(main())
