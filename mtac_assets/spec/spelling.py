"""Did you mean? The one place that guesses."""

from __future__ import annotations

from collections.abc import Sequence


def closest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant, or None."""
    import difflib

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None
