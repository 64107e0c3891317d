"""A plan as a document, and as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cocon.planning.steps import Plan
from cocon.planning.timeline import Step, critical_path, makespan


def document_of(plan: Plan, cores: int) -> dict[str, Any]:
    """The output of ``cocon plan`` as JSON-like values; times in hours."""
    steps = plan.steps()
    chain = critical_path(steps)
    return {
        "dataset": plan.dataset,
        "cores": cores,
        "gpus": plan.gpus,
        "jobs": sum(step.jobs for step in steps),
        "hours": makespan(steps, cores, plan.gpus) / 3600,
        "core_hours": _work(steps, gpu=False),
        "gpu_hours": _work(steps, gpu=True),
        "bytes": sum(step.bytes for step in steps),
        "stages": list(_stages(steps)),
        "critical_path": [{"step": step.name, "hours": step.seconds / 3600} for step in chain],
        "critical_hours": sum(step.seconds for step in chain) / 3600,
        "assumed": list(_assumed(plan)),
    }


def _work(steps: Sequence[Step], gpu: bool) -> float:
    """Hours of the jobs that hold a GPU, or of the cores of the others."""
    return sum(
        step.jobs * step.seconds * (step.gpus if gpu else step.threads)
        for step in steps
        if bool(step.gpus) == gpu
    ) / 3600  # fmt: skip


def _stages(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """One row per pass of the extraction, and per rule of the rest."""
    names = {step.name: step.name if step.name.startswith("extract ") else step.rule for step in steps}
    for name in dict.fromkeys(names.values()):
        rows = [step for step in steps if names[step.name] == name]
        yield {
            "stage": name,
            "jobs": sum(step.jobs for step in rows),
            "longest_job": max(step.seconds for step in rows) / 3600,
            "core_hours": _work(rows, gpu=False),
            "gpu_hours": _work(rows, gpu=True),
            "bytes": sum(step.bytes for step in rows),
        }


def _assumed(plan: Plan) -> Iterator[str]:
    roles, rate = plan.roles, plan.rates.together
    yield (
        f"{roles.videos:,} videos, {roles.pretrained:,} to pretrain on; per split {roles.train:,} to learn "
        f"from and {roles.test:,} to be tested on, {plan.windows} windows each: {roles.source}"
    )
    if plan.trainings > 1:
        yield f"{plan.trainings} pretrainings: every split has encoders of its own (pretrain_split)"
    yield from plan.extraction.assumed
    where = "one GPU" if rate.device == "cuda" else f"{rate.threads} thread{'s' * (rate.threads > 1)}"
    if plan.gpu_tflops is None:
        yield f"training steps measured on {where}, with frames in memory: the disks and the decoder keep up"
    else:
        yield (
            f"NOT MEASURED: a GPU keeps up {plan.gpu_tflops:g} x 10^12 operations a second (--gpu-tflops); "
            f"a clip of stage 2 has {rate.flops / 1e12:.3f} x 10^12, "
            f"and takes {rate.seconds:.2f} s here on {where}"
        )
    if plan.gpus and not any(cost.on_gpu for cost in plan.extraction.views.values()):
        yield "no view is extracted on a GPU: its backends run on CPUs, or this machine has no GPU"
    yield "n processes train n times as fast as one; fine-tuning a clip costs what pretraining it alone costs"
    yield "the linear probe needs all of its max_iterations, so it takes at most so long"
    yield "index, initialise, scores, fusing, summary and report take no time"
    if plan.encoders_from:
        yield f"the encoders are those of {plan.encoders_from}, which has a plan of its own"


def tables(document: dict[str, Any]) -> str:
    """The plan as text tables."""
    rows = [("stage", "jobs", "longest job", "core hours", "GPU hours", "size")]
    total = {**document, "stage": "all", "longest_job": None}
    for stage in (*document["stages"], total):
        longest = "" if stage["longest_job"] is None else _hours(stage["longest_job"])
        work = (_number(stage["core_hours"]), _number(stage["gpu_hours"]))
        rows.append((stage["stage"], f"{stage['jobs']:,}", longest, *work, _size(stage["bytes"])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    chain = [f"{part['step']} {_hours(part['hours'])}" for part in document["critical_path"] if part["hours"]]
    return "\n".join(
        [
            *lines,
            f"on {document['cores']} cores and {document['gpus']} GPUs: {_hours(document['hours'])}",
            f"never less than the critical path, {_hours(document['critical_hours'])}: {', '.join(chain)}",
            "assumed:",
            *(f"  {line}" for line in document["assumed"]),
        ]
    )


def _hours(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:,.1f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _number(value: float) -> str:
    return f"{value:,.1f}" if value else ""


def _size(count: float) -> str:
    return f"{count / 1e9:,.2f} GB" if count else ""
