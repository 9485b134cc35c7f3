"""Which row comes at which place of an epoch: a keyed permutation that is computed, never stored.

Place i of an epoch over n rows holds row `P(i)`, where P is a pseudorandom permutation of 0..n-1 keyed by (seed, source name, epoch).
So there is no sampler state to save, no shuffle buffer, and no order to agree on between workers: any place of any epoch can be
computed anywhere, alone or in a chunk, in O(1) memory. What is done with the rows (batches, workers) belongs to training.

The permutation is a Feistel network over the smallest 2**b >= n, brought down to n by cycle walking: a value outside 0..n-1 is
permuted again until it falls inside. The two halves may differ by one bit (an alternating unbalanced network), so that 2**b < 2n
and a place needs less than two passes on average.

Sources: M. Luby, C. Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", SIAM J. Comput. 17(2), 1988.
J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (cycle walking).
R. Mitchell et al., "Bandwidth-optimal random shuffling for GPUs", ACM Trans. Parallel Comput. 9(1), 2022 (this use of it).
The round function is the finaliser of SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014.
"""

from __future__ import annotations

import hashlib

import numpy as np

ROUNDS = 8
MULTIPLIERS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)
SMALLEST_DOMAIN_BITS = 6
"""Halves of fewer than three bits have too few round functions to reach all orders of a handful of rows evenly."""
CHUNK = 1 << 14
"""Places computed at a time: what fits a core's cache."""


def indices(seed: int, source: str, epoch: int, n: int, start: int, count: int) -> np.ndarray:
    """The rows at places `start` .. `start + count - 1` of one epoch.

    Args:
        seed: the recipe's seed.
        source: name of the data source; two sources of one recipe are shuffled independently.
        epoch: 0 or more; each has an order of its own.
        n: rows in the source, 1 to 2**62.
        start, count: a range within 0..n.

    Returns:
        int64 [count], each in 0..n-1; all n places together hold each row once.

    Raises:
        ValueError: a range outside 0..n, a negative epoch, n out of range.
    """
    if not 1 <= n <= 2**62 or epoch < 0 or start < 0 or count < 0 or start + count > n:
        raise ValueError(
            f"places {start} to {start + count} of epoch {epoch} over {n} rows: expected 0 <= start, start + count <= n"
        )
    bits = max(SMALLEST_DOMAIN_BITS, (n - 1).bit_length())
    keys = round_keys(seed, source, epoch, n)
    result = np.empty(count, dtype=np.int64)
    for offset in range(0, count, CHUNK):
        places = np.arange(start + offset, start + min(offset + CHUNK, count), dtype=np.uint64)
        result[offset : offset + len(places)] = _permuted(places, n, bits, keys).view(np.int64)
    return result


def round_keys(seed: int, source: str, epoch: int, n: int) -> np.ndarray:
    """uint64 [ROUNDS]: SHA-256 in counter mode over what the order may depend on; the name is delimited by its length."""
    name = source.encode()
    header = b"mtac.sampler.1|%d|%d|%d|%d|" % (seed, epoch, n, len(name)) + name
    blocks = [hashlib.sha256(header + b"|%d" % block).digest() for block in range(ROUNDS // 4)]
    return np.frombuffer(b"".join(blocks), dtype="<u8").astype(np.uint64)


def _permuted(places: np.ndarray, n: int, bits: int, keys: np.ndarray) -> np.ndarray:
    values = _feistel(places, bits, keys)
    outside = np.flatnonzero(values >= n)
    while len(outside):
        values[outside] = _feistel(values[outside], bits, keys)
        outside = outside[values[outside] >= n]
    return values


def _feistel(values: np.ndarray, bits: int, keys: np.ndarray) -> np.ndarray:
    """A permutation of 0..2**bits-1, applied to each of `values` (uint64)."""
    low_bits, high_bits = bits // 2, bits - bits // 2
    low, high = values & np.uint64((1 << low_bits) - 1), values >> np.uint64(low_bits)
    mixed, shifted = np.empty_like(values), np.empty_like(values)
    for index in range(0, len(keys), 2):
        high ^= _mixed(low, keys[index], high_bits, mixed, shifted)
        low ^= _mixed(high, keys[index + 1], low_bits, mixed, shifted)
    high <<= np.uint64(low_bits)
    high |= low
    return high


def _mixed(values: np.ndarray, key: np.uint64, bits: int, mixed: np.ndarray, shifted: np.ndarray) -> np.ndarray:
    """The round function: `bits` well mixed bits of each value under `key`, written into `mixed` (buffers spare the allocations)."""
    np.add(values, key, out=mixed)
    mixed *= MULTIPLIERS[0]
    np.right_shift(mixed, np.uint64(31), out=shifted)
    mixed ^= shifted
    mixed *= MULTIPLIERS[1]
    mixed >>= np.uint64(64 - bits)
    return mixed


def place_of(seed: int, source: str, epoch: int, n: int, row: int) -> int:
    """The place of an epoch at which `indices` has `row`: the permutation backwards, in constant time and memory.

    Raises ValueError for a row outside 0..n-1 or a negative epoch.
    """
    if not 1 <= n <= 2**62 or epoch < 0 or not 0 <= row < n:
        raise ValueError(f"row {row} of epoch {epoch} over {n} rows: expected 0 <= row < {n}")
    bits = max(SMALLEST_DOMAIN_BITS, (n - 1).bit_length())
    keys = round_keys(seed, source, epoch, n)
    low_bits, high_bits = bits // 2, bits - bits // 2
    value = np.array([row], dtype=np.uint64)
    mixed, shifted = np.empty_like(value), np.empty_like(value)
    while True:
        low, high = value & np.uint64((1 << low_bits) - 1), value >> np.uint64(low_bits)
        for index in range(len(keys) - 2, -1, -2):
            low ^= _mixed(high, keys[index + 1], low_bits, mixed, shifted)
            high ^= _mixed(low, keys[index], high_bits, mixed, shifted)
        value = (high << np.uint64(low_bits)) | low
        if value[0] < n:
            return int(value[0])
