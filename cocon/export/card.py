"""The model card of an exported encoder, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from cocon.encoders import ENCODERS
from cocon.evaluation.metrics import Result
from cocon.evaluation.summary import format_tables
from cocon.export.config import EncoderConfig, ExportedView
from cocon.pretrainings import PRESETS, PRETRAININGS, STAGE1, TERMS
from cocon.training.checkpoint import CHOSEN_BY

_POOLED = {
    "encoder": "the mean of its features over blocks and places",
    "encoder_max": "the maximum of its features over blocks and places",
    "context": "the mean over places of the last state of its aggregator",
}
_LICENCE = "Not stated here. Ask those who trained these weights before you use them or pass them on."

_CARD = Template("""\
---
library_name: cocon
tags: [video, self-supervised, feature-extraction]
$front---

# $name

Embeddings of videos from $views, learned $labels. Each view has a network of its own.

| view | encoder, width | numbers in the embedding | input | extracted by |
| --- | --- | --- | --- | --- |
$table

## Use

```python
from cocon import load_encoder
encoder = load_encoder("$name")
vectors = encoder.embed(["a.mp4", "b.mp4"]).multi_view
```

Or `cocon embed a.mp4 b.mp4 --encoder $name --output embeddings.h5`. The views are extracted with the
settings of training, which stand in `config.json`. The encoder sees half-overlapping windows of $blocks
blocks of $frames frames, $stride of the video; the embedding of a view is $pooled, averaged over the windows
and L2-normalised. `multi_view` is that of all views, side by side.

## Training

- $encoders
- Pretraining `$pretraining`: $method
- $run
- Exported with $versions

## Accuracy

$accuracy

## Limits

- What the training videos did not show (other people, places, cameras) it may not tell apart.
- A long video is the mean of its windows, in which rare moments vanish; `--per-window` keeps them.
- Masks and poses show persons only, and these only as well as the extractor finds them.
- Whether it serves all groups of people equally well has not been examined.

## Licence

$licence
""")


def model_card(config: EncoderConfig, results: Sequence[Result], name: str, licence: str) -> str:
    """The text of ``README.md``.

    Args:
        config: what was exported.
        results: accuracies to show.
        name: of the encoder.
        licence: of the weights; empty: not decided.
    """
    views, stride = list(config.views), config.clip.stride
    return _CARD.substitute(
        name=name,
        front=f"license: {licence}\n" if licence else "",
        views=f"the view {views[0]}" if len(views) == 1 else f"{len(views)} views: {', '.join(views)}",
        labels=_labels(config),
        table="\n".join(_row(view, exported, config) for view, exported in config.views.items()),
        blocks=config.clip.blocks,
        frames=config.clip.frames_per_block,
        stride="every frame" if stride == 1 else f"one in {stride} frames",
        pooled=_POOLED[config.embedding],
        pretraining=config.pretraining,
        encoders=_encoders(config),
        method=_method(config.pretraining),
        run=_run(config),
        versions=", ".join(f"{program} {version}" for program, version in config.exported_with.items()),
        accuracy=f"```\n{format_tables(results)}\n```" if results else "Not stated at the export.",
        licence=licence or _LICENCE,
    )


def _method(name: str) -> str:
    """What a pretraining is, its loss and its source."""
    if name not in PRETRAININGS:
        return "not known to this version"
    pretraining = PRETRAININGS[name]
    parts = [pretraining.description]
    if pretraining.terms:
        loss = ", ".join(TERMS[term].title for term in pretraining.terms)
        first = "each view with L_cpc, then " if name in PRESETS and pretraining.start == STAGE1 else ""
        parts.append(f"{first}{loss} ({pretraining.source})")
    return f"{pretraining.title}: {'; '.join(parts)}"


def _row(view: str, exported: ExportedView, config: EncoderConfig) -> str:
    network, extraction = exported.network, exported.extraction
    crop = config.model_dump()["clip"]["crop"][view]
    cells = [
        view,
        f"{network.title}, {network.width}",
        str(network.features),
        f"{crop} px of {extraction['short_side']}",
        str(extraction.get("backend", "decoder")),
    ]
    return f"| {' | '.join(cells)} |"


def _encoders(config: EncoderConfig) -> str:
    entries = dict.fromkeys(view.network.encoder for view in config.views.values())
    named = [f"{ENCODERS[name].title} ({ENCODERS[name].source})" for name in entries]
    return f"Encoder{'s' * (len(named) > 1)}: {'; '.join(named)}"


def _labels(config: EncoderConfig) -> str:
    """The labels used in training."""
    told = [
        view.training.get(key) for view in config.views.values() for key in ("chosen_by", "start_chosen_by")
    ]
    if CHOSEN_BY["probe"] in told:
        return "without labels, but that labels of training videos chose the epoch"
    return "without labels"


def _epoch(told: Mapping[str, Any]) -> str:
    """The epoch of the weights, and how it was chosen."""
    if "epoch" not in told:
        return ""
    of = f" of {told['epochs']}" if "epochs" in told else ""
    chosen = f", chosen by {told['chosen_by']}" if "chosen_by" in told else ""
    start = f", from encoders chosen by {told['start_chosen_by']}" if "start_chosen_by" in told else ""
    return f"epoch {told['epoch']}{of}{chosen}{start}"


def _run(config: EncoderConfig) -> str:
    told = next(iter(config.views.values())).training
    data = config.dataset or "not named"
    if "training_videos" in told:
        data += f", {told['training_videos']} videos"
    if "data_fingerprint" in told:
        data += f", fingerprint {told['data_fingerprint']}"
    run = [words for words in (_epoch(told), f"seed {told['seed']}" if "seed" in told else "") if words]
    return f"Data: {data}; {', '.join(run)}" if run else f"Data: {data}"
