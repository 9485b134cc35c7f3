"""The language reference as it lies in the running interpreter (PSF licence): `pydoc_data.topics`, nothing is downloaded.

Another version of Python holds other texts; the content digest tells.
"""

from collections.abc import Iterator


def topics() -> Iterator[tuple[str, str]]:
    """Name and text of each topic."""
    from pydoc_data.topics import topics as known

    yield from sorted(known.items())
