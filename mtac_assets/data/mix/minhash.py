"""Near-duplicates: which texts share most of their runs of five words, estimated in constant space a text.

The signature of a text is the minimum, under each of 64 hash functions, over its runs of five words; two signatures agree in as
large a share of their places as the texts share of their runs (Jaccard similarity), with a standard error of 0.05 at 0.8. Texts
are compared where they agree in all of one of 16 bands of four places, which two texts of similarity 0.8 miss with a chance of
0.0002. Hashes are CRC-32 of words, a polynomial over five of them, and SplitMix64's finaliser: the same on every machine.

Sources: A. Broder, "On the resemblance and containment of documents", SEQUENCES 1997. P. Indyk, R. Motwani, "Approximate nearest
neighbors", STOC 1998 (bands). G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

from __future__ import annotations

import zlib

import numpy as np

RUN = 5
PLACES = 64
BAND = 4
SIMILAR = 0.8

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)
_CHUNK = 4096


def runs(words: list[str]) -> np.ndarray:
    """uint64 [max(1, len(words) - 4)]: a hash of each run of five words; of all of them where there are fewer."""
    codes = np.array([zlib.crc32(word.encode()) for word in words], dtype=np.uint64)
    length = min(RUN, len(codes)) or 1
    total = np.zeros(max(1, len(codes) - RUN + 1), dtype=np.uint64)
    for offset in range(min(length, len(codes))):
        total = total * _GOLDEN + codes[offset : offset + len(total)]
    return _mixed(total)


def signature(hashes: np.ndarray) -> np.ndarray:
    """uint32 [64]: the signature of a text with these runs."""
    factors, offsets = _functions()
    lowest = np.full(PLACES, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(hashes), _CHUNK):
        part = hashes[start : start + _CHUNK, None] * factors + offsets
        lowest = np.minimum(lowest, (part >> np.uint64(32)).astype(np.uint32).min(axis=0))
    return lowest


def similarity(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """float64 [N]: estimated Jaccard similarity of a signature [64] and each of `others` [N, 64]."""
    return (others == one).mean(axis=1)


def earlier_duplicates(signatures: np.ndarray) -> np.ndarray:
    """int32 [N]: how many earlier texts each is a near-duplicate of, as far as found.

    In each band a text is compared with the first and with the one before it that agree with it there, so a crowd of copies
    costs no more than as many texts; every text but the first of a crowd has at least one.
    """
    found: list[np.ndarray] = []
    for band in _bands(signatures):
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, np.int64)
        sizes = np.diff(np.r_[begins, len(ordered)])
        firsts = np.repeat(begins, sizes)
        later = np.flatnonzero(firsts != np.arange(len(ordered)))
        found += [np.stack((order[later], earlier), axis=1) for earlier in (order[firsts[later]], order[later - 1])]
    counts = np.zeros(len(signatures), dtype=np.int32)
    if found:
        pairs = np.unique(np.concatenate(found), axis=0)
        for start in range(0, len(pairs), _CHUNK):
            part = pairs[start : start + _CHUNK]
            near = (signatures[part[:, 0]] == signatures[part[:, 1]]).mean(axis=1) >= SIMILAR
            np.add.at(counts, part[near, 0], 1)
    return counts


def duplicates_among(asked: np.ndarray, known: np.ndarray) -> np.ndarray:
    """int64 [N]: for each signature of `asked` [N, 64] the place of a near-duplicate in `known` [M, 64], or -1."""
    found = np.full(len(asked), -1, dtype=np.int64)
    for asked_band, known_band in zip(_bands(asked), _bands(known), strict=True):
        order = np.argsort(known_band, kind="stable")
        ordered = known_band[order]
        low, high = np.searchsorted(ordered, asked_band, "left"), np.searchsorted(ordered, asked_band, "right")
        for place in np.flatnonzero((high > low) & (found < 0)):
            there = order[low[place] : high[place]]
            alike = similarity(asked[place], known[there])
            if alike.max() >= SIMILAR:
                found[place] = there[int(alike.argmax())]
    return found


def _bands(signatures: np.ndarray) -> list[np.ndarray]:
    """uint64 [N] of each band: equal where two texts agree in all of its places (or by a chance of 2**-64)."""
    result: list[np.ndarray] = []
    for start in range(0, PLACES, BAND):
        total = np.zeros(len(signatures), dtype=np.uint64)
        for place in range(start, start + BAND):
            total = _mixed(total * _GOLDEN + signatures[:, place].astype(np.uint64))
        result.append(total)
    return result


def _functions() -> tuple[np.ndarray, np.ndarray]:
    drawn = _mixed(np.arange(1, 2 * PLACES + 1, dtype=np.uint64) * _GOLDEN)
    return drawn[:PLACES] | np.uint64(1), drawn[PLACES:]


def _mixed(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(27))) * _MULTIPLIERS[1]
    return values ^ (values >> np.uint64(31))
