"""Checks against the device and the machine: precision, memory, time and cost, disk, notice of preemption, determinism."""

from __future__ import annotations

import math

from mtac_assets.provenance.usage import SECONDS_AN_HOUR, Usage, price
from mtac_assets.training.preflight.facts import Facts
from mtac_assets.training.preflight.registry import Judgement, check
from mtac_assets.training.unshardable import unshardable

MIB = 1 << 20
WRITE_BYTES_PER_SECOND = 200e6
"""What a checkpoint is written at, at the least: one stream to a network disk, with fsync."""
CPU_SHARE = 0.8
"""Of a CPU's memory that tensors may take: libraries and the system want the rest."""
GPU_SHARE = 0.92


@check("device.kind")
def kind(facts: Facts, judgement: Judgement) -> None:
    """The recipe's kind of device is that of the device it is checked for; precision and compiler are possible there."""
    training = facts.training
    judgement.evidence |= {"device": facts.device.name, "recipe": training.device, "precision": training.precision}
    if training.device != facts.device.kind:
        judgement.fail(
            f"the recipe trains on {training.device}, and {facts.device.name} is {facts.device.kind}",
            "training.device",
            facts.device.kind,
            f"name another --device, or write `device: {facts.device.kind}` (which makes another model)",
        )
    elif training.precision == "bfloat16" and not facts.device.bfloat16:
        judgement.fail(
            f"{facts.device.name} has no bfloat16", "training.precision", "float32", "write `precision: float32`"
        )


@check("device.memory")
def memory(facts: Facts, judgement: Judgement) -> bool | None:
    """Peak bytes of tensors of a step against the device's memory. Workers on this machine's CPU share its memory."""
    if facts.memory is None:
        return False
    found = facts.memory
    judgement.evidence |= {
        "weights_mib": round(found.weights / MIB, 1),
        "optimizer_mib": round(found.optimizer / MIB, 1),
        "average_mib": round(found.average / MIB, 1),
        "activations_and_gradients_mib": round(found.working / MIB, 1),
        "peak_mib": round(found.peak / MIB, 1),
    }
    on_cpu = facts.device.kind == "cpu"
    here = facts.workers_here if on_cpu else 1
    if here is None:
        judgement.remark = "Ray places the workers: the memory of its machines is not known here"
        return None
    share = CPU_SHARE if on_cpu else GPU_SHARE
    allowed = int(facts.device.memory * share / here)
    judgement.evidence["allowed_mib"] = round(allowed / MIB, 1)
    if found.peak > allowed:
        micro, constant = facts.training.micro_batch_size, found.peak - found.working
        room = allowed - constant
        fits = 1 << max(0, (micro * room // max(1, found.working)).bit_length() - 1) if room > 0 else 0
        remedy = (
            f"write micro_batch_size: {fits}, or choose a device with {found.peak / share / (1 << 30):,.0f} GiB"
            if fits
            else "weights and optimiser alone do not fit: a smaller network, a larger device, or more workers"
            + ("" if facts.sharded else " and launcher.sharded: true in the environment")
        )
        judgement.fail(
            f"a step's tensors take {found.peak / MIB:,.0f} MiB, and {allowed / MIB:,.0f} MiB are there for them",
            "training.micro_batch_size",
            f"at most {allowed / MIB:,.0f} MiB on {facts.device.name}",
            remedy,
        )
    return None


@check("workers.sharded")
def sharded(facts: Facts, judgement: Judgement) -> bool | None:
    """Nothing that needs all weights at once, where the environment parts them among the workers."""
    if not facts.sharded:
        return False
    judgement.evidence |= {"workers": facts.workers}
    judgement.remark = (
        "a first training is not probed: the probe wants the network in one process (`mtac probe`, where it fits)"
    )
    for finding in unshardable(facts.training):
        judgement.fail(finding.error, finding.where, finding.expected, finding.remedy)
    return None


@check("cost.time")
def time(facts: Facts, judgement: Judgement) -> bool | None:
    """Seconds a step and in all, from the declared utilisation; what it costs, where the environment has a price; the run's limit."""
    seconds = step_seconds(facts)
    if seconds is None or facts.steps is None:
        return False
    accounting = facts.environment.accounting
    hours = seconds * facts.steps / 3600
    judgement.evidence |= {
        "utilisation": accounting.utilisation,
        "seconds_per_step": float(f"{seconds:.3g}"),
        "hours": float(f"{hours:.3g}"),
        "device_hours": float(f"{hours * facts.workers:.3g}"),
    }
    held = hours * facts.workers * SECONDS_AN_HOUR
    threads = facts.training.threads
    used = Usage(gpu_seconds=held) if facts.device.kind == "cuda" else Usage(cpu_seconds=held * threads)
    cost = price(used, accounting)
    if cost is not None:
        judgement.evidence["cost"] = round(cost, 2)
    limit = facts.environment.limits.run_seconds
    judgement.evidence["limit_hours"] = round(limit / 3600, 3)
    if seconds * facts.steps > limit:
        judgement.fail(
            f"{facts.steps:,} steps of {seconds:.3g} s take {hours:.3g} h, and a run is ended after {limit / 3600:.3g} h",
            "limits.run_seconds of the environment",
            f"at least {math.ceil(seconds * facts.steps)}",
            "raise the limit to it, start more workers, or train on fewer tokens",
        )
    return None


def step_seconds(facts: Facts) -> float | None:
    """Of one step on all workers together; None where the network's work is not known."""
    if facts.flops_per_token is None or facts.schema is None:
        return None
    work = facts.flops_per_token * facts.schema.sequence_length * facts.training.batch_size
    return work / (facts.device.peak * facts.environment.accounting.utilisation * facts.workers)


@check("disk.checkpoints")
def disk(facts: Facts, judgement: Judgement) -> bool | None:
    """The state at the start of each segment stays with the model, and one more is being written."""
    if facts.memory is None or facts.steps is None:
        return False
    segments = -(-facts.steps // facts.training.checkpoint_every_steps)
    needed = facts.memory.state * (segments + 1) + facts.memory.weights
    judgement.evidence |= {
        "state_mib": round(facts.memory.state / MIB, 1),
        "segments": segments,
        "needed_mib": round(needed / MIB, 1),
        "free_mib": round(facts.free_disk / MIB, 1),
    }
    if needed > facts.free_disk:
        fitting = (facts.free_disk - facts.memory.weights) // facts.memory.state - 1  # segments
        least = 2 * facts.memory.state + facts.memory.weights
        judgement.fail(
            f"{segments} checkpoints of {facts.memory.state / MIB:,.0f} MiB need {needed / MIB:,.0f} MiB of disk",
            "training.checkpoint_every_steps",
            f"at most {facts.free_disk / MIB:,.0f} MiB, as much as is free",
            f"write {-(-facts.steps // fitting)} or more, or make room"
            if fitting > 0
            else f"make room: one checkpoint at the least needs {least / MIB:,.0f} MiB",
        )
    return None


@check("checkpoint.preemption")
def preemption(facts: Facts, judgement: Judgement) -> bool | None:
    """Within the notice before a machine is taken away, a step must end and the state be written.

    Else what was learnt since the last checkpoint is lost each time: no interval gives that back, only a longer notice or a shorter step.
    """
    notice, seconds = facts.environment.limits.preemption_seconds, step_seconds(facts)
    if notice is None or seconds is None or facts.memory is None:
        return False
    writing = facts.memory.state / WRITE_BYTES_PER_SECOND
    needed = seconds + writing
    every = facts.training.checkpoint_every_steps
    judgement.evidence |= {
        "notice_seconds": notice,
        "needed_seconds": round(needed, 2),
        "lost_seconds_at_most": round(every * seconds, 1) if needed > notice else 0.0,
    }
    if needed > notice:
        workers = facts.workers
        while workers < facts.micro_batches and seconds * facts.workers / workers + writing > notice:
            workers *= 2
        fewer = seconds * facts.workers / workers + writing <= notice
        judgement.fail(
            f"a step and a checkpoint take {needed:.3g} s, and a machine is taken away after {notice} s: up to {every:,} steps are lost",
            "limits.preemption_seconds of the environment",
            f"at least {math.ceil(needed)} s",
            f"use machines with a notice of {math.ceil(needed)} s" + (f", or start {workers} workers" if fewer else ""),
        )
    return None


@check("determinism.prerequisites")
def determinism(facts: Facts, judgement: Judgement) -> None:
    """What must hold for equal bits elsewhere: a cap on instructions. More threads than cores cost time and move no bit."""
    training = facts.training
    judgement.evidence |= {
        "instruction_set": training.instruction_set,
        "threads": training.threads,
        "cores": facts.cores,
        "compile": training.compile,
    }
    if training.device == "cpu" and training.instruction_set == "default":
        judgement.fail(
            "the instruction set is whatever the machine has: another machine gives other bits",
            "training.instruction_set",
            "avx2 or avx512",
            "write `instruction_set: avx2`",
        )
    elif facts.device.kind == "cpu" and training.threads * (facts.workers_here or 0) > facts.cores:
        judgement.remark = f"{facts.workers} workers of {training.threads} threads on {facts.cores} cores wait for each other: slow, with the same bits"
