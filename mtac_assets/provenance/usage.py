"""What a piece of work has used of the machine: CPU, memory, GPU, bytes written; and what that costs by the environment's prices.

Belongs here: measuring this process with the children it has waited for, adding up, and pricing. All of it is observed: it is
written down beside a model and decides nothing, so no number here may enter a fingerprint. The samples that MLflow draws
while a training goes on are `tracking.system`'s.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Accounting

SCHEMA_VERSION = 1
SECONDS_AN_HOUR = 3600
GB = 1_000_000_000
_WRITTEN_BLOCK = 512  # bytes: the unit in which the kernel counts output (getrusage(2), ru_oublock)
_MEMORY_BLOCK = 1024  # bytes: ru_maxrss


@dataclass(frozen=True)
class Usage:
    """`seconds` of wall clock; `cpu_seconds` of all processes; `gpu_seconds`: GPUs held, times the time; `peak_memory_bytes`:
    resident, the largest process, summed over workers; `bytes_written`: what reached storage, so on a memory disk 0."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    bytes_written: int = 0

    @classmethod
    def so_far(cls, seconds: float, gpus: int = 0) -> Usage:
        """Of this process since it began, and of the children that it has waited for. `seconds`: how long the work took."""
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(
            seconds,
            sum(each.ru_utime + each.ru_stime for each in (own, children)),
            seconds * gpus,
            max(_own_peak() or own.ru_maxrss, children.ru_maxrss) * _MEMORY_BLOCK,
            (own.ru_oublock + children.ru_oublock) * _WRITTEN_BLOCK,
        )

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Usage:
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})

    def document(self) -> dict[str, Any]:
        return {name: round(value, 3) for name, value in asdict(self).items()}

    def then(self, later: Usage) -> Usage:
        """Of both, one after the other: times and bytes add up, of the memory the larger counts."""
        return Usage(
            self.seconds + later.seconds,
            self.cpu_seconds + later.cpu_seconds,
            self.gpu_seconds + later.gpu_seconds,
            max(self.peak_memory_bytes, later.peak_memory_bytes),
            self.bytes_written + later.bytes_written,
        )

    def beside(self, other: Usage) -> Usage:
        """Of both at the same time: all adds up but the time."""
        return Usage(
            max(self.seconds, other.seconds),
            self.cpu_seconds + other.cpu_seconds,
            self.gpu_seconds + other.gpu_seconds,
            self.peak_memory_bytes + other.peak_memory_bytes,
            self.bytes_written + other.bytes_written,
        )

    def since(self, before: Usage) -> Usage:
        """What was used since `before` was measured in this process; of the memory, the peak so far."""
        return Usage(
            self.seconds - before.seconds,
            self.cpu_seconds - before.cpu_seconds,
            self.gpu_seconds - before.gpu_seconds,
            self.peak_memory_bytes,
            self.bytes_written - before.bytes_written,
        )


def _own_peak() -> int | None:
    """The largest resident memory of this program, in KiB; None where the kernel does not tell.

    `ru_maxrss` of a process begins with that of the one which forked it, whatever program it runs since: a trainer that a large
    process starts would look as large. (A child of ours is bounded so by ourselves.)
    """
    try:
        with open("/proc/self/status") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    except OSError:
        return None


def price(used: Usage, accounting: Accounting) -> float | None:
    """What `used` costs, in the price table's currency; None where a price that it needs is not told.

    On a GPU the machine's cores come with it, so that where a GPU was held, its price alone counts.
    """
    if used.gpu_seconds > 0:
        rate, seconds = accounting.price_per_gpu_hour, used.gpu_seconds
    else:
        rate, seconds = accounting.price_per_cpu_hour, used.cpu_seconds
    return None if rate is None else rate * seconds / SECONDS_AN_HOUR


def model_cost(parts: Mapping[str, Usage | None], stored_bytes: int, accounting: Accounting) -> dict[str, Any]:
    """The document that a model's record keeps: usage by part (`training`, `evaluation`; None: not measured), and estimates.

    `estimate` is what the work cost once, `storage_per_month` what keeping `stored_bytes` does, None where no price is told.
    """
    known = {name: used for name, used in parts.items() if used is not None}
    prices = [price(used, accounting) for used in known.values()]
    told = [each for each in prices if each is not None]
    monthly = accounting.price_per_gb_month
    return {
        "schema_version": SCHEMA_VERSION,
        **{name: used.document() for name, used in known.items()},
        "stored_bytes": stored_bytes,
        "estimate": round(sum(told), 6) if known and len(told) == len(prices) else None,
        "storage_per_month": None if monthly is None else round(monthly * stored_bytes / GB, 6),
    }


def total(costs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum over models' records. A model without a record, or without an estimate, is counted as such and adds nothing."""
    listed = list(costs)
    recorded = [cost for cost in listed if cost]
    used = Usage()
    for cost in recorded:
        for part in ("training", "evaluation"):
            if part in cost:
                used = used.then(Usage.read(cost[part]))
    estimates = [cost["estimate"] for cost in recorded if cost["estimate"] is not None]
    monthly = [cost["storage_per_month"] for cost in recorded if cost["storage_per_month"] is not None]
    return {
        "models": len(listed),
        "measured": len(recorded),
        "priced": len(estimates),
        **used.document(),
        "stored_bytes": sum(cost["stored_bytes"] for cost in recorded),
        "estimate": round(sum(estimates), 6) if estimates else None,
        "storage_per_month": round(sum(monthly), 6) if monthly else None,
    }
