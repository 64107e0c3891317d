"""The setup of the run: data, hardware, settings and versions."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from cocon.config.schema import Clip, Network, Recipe
from cocon.datasets.manifest import in_order
from cocon.loading import parse_object
from cocon.report.inputs import UNREADABLE, Inputs, PageSection, order_pretrainings
from cocon.report.resources import all_benchmarks
from cocon.report.settings import differences
from cocon.report.wording import duration
from cocon.training.provenance import processor, revision
from cocon.versions import __version__

_PACKAGES = ("torch", "numpy", "opencv-contrib-python-headless", "av", "h5py", "numba",
             "scikit-learn", "ai-edge-litert", "snakemake")  # fmt: skip


@dataclass
class SetupSection(PageSection):
    """Groups of (name, value) facts, and the splits and views as small tables."""

    facts: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    splits: list[tuple[str, Counter[str]]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    settings: list[tuple[str, str]] = field(default_factory=list)
    recipe: str = ""
    changes: list[tuple[str, str, str]] = field(default_factory=list)


def section(inputs: Inputs) -> SetupSection:
    """Collect the facts from the manifest, the shards, the checkpoints and this machine."""
    page = SetupSection("setup", "What ran", "What ran")
    if "manifest" in inputs.missing:
        page.missing.append(inputs.missing["manifest"])
    page.missing += [text for key, text in inputs.missing.items() if key.startswith("shards/")]
    checkpoints = _checkpoints(inputs)
    if not checkpoints:
        page.missing.append(f"There are no checkpoints in {inputs.pretrained}: settings are not known.")
    page.splits = _splits(inputs)
    page.views = [_view(inputs, view) for view in inputs.views if view in inputs.tables]
    page.facts = [
        ("Data", _data(inputs)),
        ("Learning", _learning(inputs, checkpoints)),
        ("Machine of this report", _machine(inputs)),
        ("Software", _software()),
    ]
    page.recipe = inputs.settings.recipe_name
    page.changes = [
        (key, _shown(value), _shown(default))
        for key, value, default in differences(inputs.settings.recipe, Recipe())
    ]
    page.settings = [(name, json.dumps(value, indent=2)) for name, value in _settings(inputs, checkpoints)]
    return page


def _shown(value: object) -> str:
    """A setting in the notation of config.yaml; absent ones are a dash."""
    return "\N{EN DASH}" if value is None else json.dumps(value, ensure_ascii=False).strip('"')


def _data(inputs: Inputs) -> list[tuple[str, str]]:
    videos = inputs.videos.values()
    frames = max((sum(row.frames for row in table.values()) for table in inputs.tables.values()), default=0)
    labels = {video.label for video in videos if video.label}
    facts = [("Data set", inputs.title)]
    if inputs.videos:
        groups = {(video.label, video.group) for video in videos}
        facts += [("Videos", f"{len(videos):,}"), ("Classes", f"{len(labels):,}")]
        if all(video.group for video in videos):
            facts.append(("Groups", f"{len({group for _, group in groups}):,}"))
    if frames:
        facts.append(("Frames per view", f"{frames:,}"))
    return facts


def _splits(inputs: Inputs) -> list[tuple[str, Counter[str]]]:
    names = in_order({name for video in inputs.videos.values() for name in video.splits})
    return [
        (name, Counter(video.splits.get(name) or "unused" for video in inputs.videos.values()))
        for name in names
    ]


def _view(inputs: Inputs, view: str) -> dict[str, Any]:
    shards, usable = inputs.shards[view].shards, [row for row in inputs.tables[view].values() if row.usable]
    sizes = Counter((row.width, row.height) for row in usable).most_common(2)
    size = f"{sizes[0][0][0]} × {sizes[0][0][1]}" if sizes else "none"
    return {
        "name": view,
        "videos": len(usable),
        "shards": len(shards),
        "size": size + (" and others" if len(sizes) > 1 else ""),
        "codec": shards[0].codec,
        "method": str(shards[0].parameters.get("backend", "decoder")),
    }


def _learning(inputs: Inputs, checkpoints: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
    names = order_pretrainings({row["pretraining"] for row in inputs.rows})
    facts = [("Shown in detail", inputs.pretraining), ("Pretrainings", ", ".join(names))] if names else []
    seeds = {str(row["seed"]) for row in inputs.rows if "seed" in row}
    seeds |= {str(info["seed"]) for info in checkpoints.values() if "seed" in info}
    seeds |= {str(inputs.settings.seed)} - {"None"}
    if seeds:
        facts.append(("Seeds", ", ".join(sorted(seeds))))
    if inputs.settings.device:
        facts.append(("Device", inputs.settings.device))
    info = next((info for key, info in checkpoints.items() if key.startswith(f"{inputs.pretraining}/")), {})
    clip = info.get("clip", {})
    if {"blocks", "frames_per_block", "stride"} <= clip.keys():
        facts.append(
            ("Clip", f"{clip['blocks']} blocks of {clip['frames_per_block']} frames, stride {clip['stride']}")
        )
    crops = clip.get("crop", {})
    if shown := [f"{view} {crops[view]} px" for view in inputs.views if view in crops]:
        facts.append(("Crop", ", ".join(shown)))
    if networks := _networks(inputs, checkpoints):
        facts.append(("Network", networks))
    if "epoch" in info:
        facts.append(("Epochs", _epochs(info)))
    if "hardware" in info:
        facts.append(("Trained on", info["hardware"]))
    return facts


def _epochs(info: Mapping[str, Any]) -> str:
    """Training length, and how the epoch of the weights was chosen."""
    if "chosen_by" not in info:
        return str(info["epoch"])
    return f"{info['epoch']} of {info['epochs']}, chosen by {info['chosen_by']}"


def _networks(inputs: Inputs, checkpoints: Mapping[str, dict[str, Any]]) -> str:
    """The networks that are shown; with the views, where views have different ones."""
    found: dict[str, list[str]] = {}
    for key, info in checkpoints.items():
        if key.startswith(f"{inputs.pretraining}/") and "network" in info:
            network = Network.model_validate(info["network"])
            text = f"{network.title}, width {network.width}, D {network.features}"
            found.setdefault(text, []).append(key.rpartition("/")[2])
    if len(found) < 2:
        return "".join(found)
    return "; ".join(f"{', '.join(views)}: {text}" for text, views in found.items())


def read_checkpoint_info(path: Path) -> dict[str, Any]:
    """The header of a checkpoint, read without torch and without loading tensors.

    Raises:
        SafetensorError: when the file is damaged.
        ValueError: when its metadata are not those of a checkpoint.
    """
    with safe_open(path, framework="numpy") as file:
        info = parse_object((file.metadata() or {}).get("cocon", "{}"))
    for key, section in (("clip", Clip), ("network", Network)):
        if key in info:
            section.model_validate(info[key])
    return info


def _checkpoints(inputs: Inputs) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(inputs.pretrained.glob("*/*.safetensors")):
        try:
            found[f"{path.parent.name}/{path.stem}"] = read_checkpoint_info(path)
        except (*UNREADABLE, SafetensorError):
            continue
    return found


def _settings(inputs: Inputs, checkpoints: Mapping[str, dict[str, Any]]) -> list[tuple[str, Any]]:
    extraction = [
        (f"extraction of {view}", inputs.shards[view].shards[0].parameters)
        for view in inputs.views
        if view in inputs.shards
    ]
    networks = [
        (f"checkpoint {name}", info)
        for name, info in checkpoints.items()
        if name.startswith(f"{inputs.pretraining}/")
    ]
    return extraction + networks


def _machine(inputs: Inputs) -> list[tuple[str, str]]:
    facts = [("Processor", f"{processor()}, {len(os.sched_getaffinity(0))} cores in use")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts.append(("Memory", f"{memory / 2**30:.0f} GiB"))
    facts.append(("GPU", ", ".join(_gpus()) or "none"))
    seconds = sum(job.seconds for job in all_benchmarks(inputs.results))
    if seconds:
        facts.append(("Time of all jobs", duration(seconds)))
    facts.append(("Report written", datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z")))
    return facts


def _gpus() -> list[str]:
    paths = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [line for path in paths for line in path.read_text(errors="replace").splitlines()]
    return [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model")]


def _software() -> list[tuple[str, str]]:
    facts = [("Python", platform.python_version()), ("cocon", __version__)]
    for package in _PACKAGES:
        try:
            facts.append((package.removesuffix("-contrib-python-headless"), metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    commit = revision().removesuffix("-dirty")
    if commit:
        changed = ", with changes" if revision().endswith("-dirty") else ""
        facts.insert(0, ("Git revision", commit[:12] + changed))
    return [*facts, ("System", f"{platform.system()} {platform.release().split('-')[0]}")]
