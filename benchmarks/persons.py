"""How many of the persons in real videos does each backend find, and in what time?

    python -m benchmarks.persons [--quick] [--sheets DIR]

Extracts mask and pose of the UT-Interaction clips (Ryoo and Aggarwal 2010; COCON_SHARED_DATA, default
../shared/data, holds them in sets/ut_interaction) with every pair of backends that is installed. Two persons
are in nearly every frame of five of the six classes; in ``pointing`` there is one, and in the middle of a hug
one hides the other. There is no truth, so the figures only count:

- none, one, two: share of the frames with so many poses (two: or more);
- apart: share with at least two poses, over the frames in which both persons are in full view: of the
  classes in which they stay apart (hand shaking, kicking, punching, pushing), without the clips of LEAVES;
- covered: share of the persons that the first backend of pose finds, of whom three in four keypoints lie on
  the mask;
- ms: CPU milliseconds per frame for mask and pose together, one thread, decoding and writing included.

``--sheets`` writes a contact sheet per class and pair. The last line is one JSON object; ``ratio`` is the
number of persons that the first pair finds over that of BlazePose, which follows one person.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cocon.backends import BACKENDS
from cocon.report.contact_sheet import write_sheet
from cocon.shards import Shard
from view_extractors.arguments import extractor_of
from view_extractors.base import Output, Resources
from view_extractors.pipeline.run import extract
from view_extractors.registry import to_install

DATA = Path(os.environ.get("COCON_SHARED_DATA", "../shared/data")) / "sets" / "ut_interaction"
PAIRS = (("selfie", "movenet"), ("blazepose", "blazepose"), ("torchvision", "torchvision"))
APART = ("hand_shaking", "kicking", "punching", "pushing")
#: in these one of the two leaves the picture
LEAVES = ("punching/set2_seq11_clip00_punching",)
CERTAIN = 0.3
COVERED = 0.75


def clips(every: int) -> dict[str, Path]:
    """Some of the clips, by their names: each ``every``-th."""
    with (DATA / "table.csv").open(newline="") as table:
        names = [row["video"] for row in csv.DictReader(table)]
    return {str(Path(name).with_suffix("")): DATA / name for name in names[::every]}


def measured(mask: str, pose: str, videos: Mapping[str, Path], folder: Path) -> tuple[Shard, Shard, float]:
    """The shards of mask and pose, and CPU milliseconds per frame."""
    paths = {view: folder / f"{view}_{backend}.h5" for view, backend in (("mask", mask), ("pose", pose))}
    outputs = [
        Output(extractor_of(view, f"{{backend: {backend}}}"), paths[view])
        for view, backend in (("mask", mask), ("pose", pose))
    ]
    began = time.process_time()
    extract(videos, outputs, resources=Resources(threads=1, device="cpu"))
    seconds = time.process_time() - began
    shards = Shard(paths["mask"]), Shard(paths["pose"])
    return *shards, 1000 * seconds / sum(row.frames for row in shards[1].videos.values())


def counts(pose: Shard, names: Iterable[str]) -> np.ndarray:
    """Persons per frame of some videos, one after the other."""
    found = [[len(persons) for persons in pose.keypoints(name)] for name in names]
    return np.array([count for video in found for count in video])


def covered(mask: Shard, pose: Shard) -> float:
    """Share of the persons who lie on the mask."""
    on_mask = []
    for name, row in pose.videos.items():
        masks = mask.read(name, range(row.frames))[..., 0]
        height, width = masks.shape[1:]
        for picture, persons in zip(masks, pose.keypoints(name), strict=True):
            for person in persons:
                x, y = (person[person[:, 2] > CERTAIN, :2] * [width, height]).astype(int).T
                inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
                if inside.any():
                    on_mask.append((picture[y[inside], x[inside]] > 127).mean() >= COVERED)
    return float(np.mean(on_mask))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="every seventh clip")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets; keep them to yourself")
    options = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"there is no {DATA}: set COCON_SHARED_DATA")
    videos = clips(7 if options.quick else 1)
    apart = [name for name in videos if name.startswith(APART) and name not in LEAVES]
    found: dict[str, dict[str, float]] = {}
    reference: Shard | None = None
    print(f"{len(videos)} clips\n{'mask':<12} {'pose':<12}  none    one    two  apart  covered     ms")
    with tempfile.TemporaryDirectory() as folder:
        for mask_name, pose_name in PAIRS:
            if advice := to_install(BACKENDS["pose"][pose_name]) or to_install(BACKENDS["mask"][mask_name]):
                print(f"{mask_name:<12} {pose_name:<12}  not installed: {advice}")
                continue
            mask, pose, ms = measured(mask_name, pose_name, videos, Path(folder))
            reference = reference or pose
            persons, two = counts(pose, videos), counts(pose, apart)
            figures = {
                "persons": float(persons.sum()),
                "none": float((persons == 0).mean()),
                "one": float((persons == 1).mean()),
                "two": float((persons >= 2).mean()),
                "apart": float((two >= 2).mean()),
                "covered": covered(mask, reference),
                "ms": ms,
            }
            found[pose_name] = figures
            shown = "  ".join(f"{figures[key]:.3f}" for key in ("none", "one", "two", "apart", "covered"))
            print(f"{mask_name:<12} {pose_name:<12} {shown}  {ms:7.1f}", flush=True)
            if options.sheets:
                options.sheets.mkdir(parents=True, exist_ok=True)
                for name in {name.partition("/")[0]: name for name in videos}.values():
                    sheet = options.sheets / f"{pose_name}_{name.replace('/', '_')}.png"
                    write_sheet([mask.path, pose.path], name, sheet)
    ratio = found["movenet"]["persons"] / found["blazepose"]["persons"]
    print(json.dumps({"ratio": round(ratio, 2), "clips": len(videos), "backends": found}))


if __name__ == "__main__":
    main()
