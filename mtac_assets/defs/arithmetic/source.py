"""Arithmetic as instructions and answers, made from a seed: page n depends on the seed and n alone."""

import hashlib
from collections.abc import Iterator

_FORMS = (
    ("+", "What is {a} plus {b}?", lambda a, b: a + b),
    ("-", "What is {a} minus {b}?", lambda a, b: a - b),
    ("*", "What is {a} times {b}?", lambda a, b: a * b),
)


def pages(seed: int, documents: int, lines: int) -> Iterator[tuple[str, str]]:
    """`documents` pages of `lines` questions each, half of them in words and half as an equation."""
    for page in range(documents):
        yield f"page-{page:07d}", "".join(_line(seed, page, line) for line in range(lines))


def _line(seed: int, page: int, line: int) -> str:
    drawn = hashlib.blake2b(b"%d|%d|%d" % (seed, page, line), digest_size=12).digest()
    a, b = (int.from_bytes(drawn[start : start + 4], "little") for start in (0, 4))
    symbol, question, answer = _FORMS[drawn[8] % len(_FORMS)]
    largest = 100 if symbol == "*" else 1000
    a, b = a % largest, b % largest
    asked = question.format(a=a, b=b) if drawn[9] % 2 else f"{a} {symbol} {b} ="
    return f"{asked} {answer(a, b)}\n"
