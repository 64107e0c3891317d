"""A small results folder with every kind of file that the report reads, made up but consistent."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cocon.config.schema import Clip, Evaluation, Network, Recipe, Relations
from cocon.datasets.manifest import Video, write_manifest
from cocon.evaluation.features import Features, write_features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import ClassScores, NeighbourScores, write_result
from cocon.files import read_json, write_json, write_text
from cocon.models.network import build_network
from cocon.report.inputs import Inputs, load_inputs
from cocon.report.pictures import LIMBS, TRUNK
from cocon.report.settings import ReportSettings
from cocon.shards import ShardWriter, VideoRecord
from cocon.shards.codecs import encode
from cocon.training.checkpoint import save_encoder

SIZE, FRAMES, BOUND = 64, 10, 20.0
HOSTILE = "wave/<script>alert(1)</script>"
BROKEN = "walk/broken"
CLASSES = ("box", "jump", "walk", "wave")
VIEWS = ("rgb", "flow", "mask", "pose")
#: four classes have three others each
SETTINGS = ReportSettings(
    kind="ucf101",
    recipe_name="small",
    recipe=Recipe(evaluation=Evaluation(relations=Relations(neighbours=2, shared=1))),
    seed=7,
)
SKILL = {"random": 0.4, "stage1": 0.9, "cocon": 1.7}


def videos() -> list[Video]:
    made = []
    for label in CLASSES:
        for number in range(6):
            role = "test" if number > 3 else "train"
            name = HOSTILE if (label, number) == ("wave", 4) else f"{label}/{label}_s{number:02d}"
            made.append(Video(name, Path(f"{name}.mp4"), label, f"s{number:02d}", {"1": role}))
    return [*made, Video(BROKEN, Path("walk/broken.mp4"), "walk", "s09", {"1": "train"})]


def joints(label: str, phase: float) -> np.ndarray:
    """A figure of 17 joints as fractions of the picture, moving by class."""
    swing = 0.14 * np.sin(phase)
    lift = -0.05 * abs(np.sin(phase)) if label == "jump" else 0.0
    arm = {"wave": -0.32 + swing, "box": -0.05 + swing, "jump": swing, "walk": 0.1}[label]
    step = swing if label == "walk" else 0.03
    xy = [
        *((0.5, 0.2), (0.52, 0.18), (0.48, 0.18), (0.54, 0.2), (0.46, 0.2), (0.58, 0.33), (0.42, 0.33)),
        *((0.66, 0.42 + arm / 2), (0.34, 0.46), (0.7, 0.45 + arm), (0.32, 0.58), (0.56, 0.57), (0.44, 0.57)),
        *((0.56 + step / 2, 0.73), (0.44 - step / 2, 0.73), (0.56 + step, 0.9), (0.44 - step, 0.9)),
    ]
    return np.array([(x, y + lift, 0.9) for x, y in xy], np.float32)


def silhouette(figure_J3: np.ndarray) -> np.ndarray:
    mask_HW = np.zeros((SIZE, SIZE), np.uint8)
    at = np.round(figure_J3[:, :2] * SIZE).astype(int)
    for a, b in (*TRUNK, *LIMBS):
        cv2.line(mask_HW, at[a].tolist(), at[b].tolist(), 255, 5, cv2.LINE_AA)
    cv2.fillConvexPoly(mask_HW, at[[5, 6, 12, 11]], 255)
    cv2.circle(mask_HW, at[0].tolist(), 6, 255, -1, cv2.LINE_AA)
    return mask_HW


def frames_of(video: Video, view: str, rng: np.random.Generator) -> list[np.ndarray]:
    figures = [joints(video.label, 0.7 * frame) for frame in range(FRAMES + 1)]
    if view == "pose":
        return [figure[None] for figure in figures[:-1]]
    masks = [silhouette(figure) for figure in figures]
    if view == "mask":
        return [mask[..., None] for mask in masks[:-1]]
    if view == "rgb":
        ground = np.linspace(rng.integers(120, 200, 3), rng.integers(60, 140, 3), SIZE)[:, None]
        shirt = rng.integers(20, 230, 3)
        return [np.where(mask[..., None] > 127, shirt, ground).astype(np.uint8) for mask in masks[:-1]]
    flows = []
    for now, then, mask in zip(figures, figures[1:], masks, strict=False):
        motion_J2 = (then - now)[:, :2] * SIZE
        grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1)[..., None, :] / SIZE
        nearest = np.linalg.norm(grid - now[:, :2], axis=-1).argmin(-1)
        flow = motion_J2[nearest] * (mask[..., None] > 127)
        flows.append((128 + 127 * np.clip(flow / BOUND, -1, 1)).round().astype(np.uint8))
    return flows


def write_shards(folder: Path, table: list[Video], broken: bool = True) -> None:
    for view in VIEWS:
        parameters = {"flow": {"bound": BOUND, "backend": "tvl1_opencv"}, "pose": {"sigma": 1.5}}.get(
            view, {}
        )
        codec = "keypoints" if view == "pose" else "jpeg"
        rng = np.random.default_rng(3)
        ids = [video.id for video in table]
        with ShardWriter(
            folder / view / "00000.h5", view=view, video_ids=ids, parameters=parameters, codec=codec
        ) as writer:
            for video in table:
                if video.id == BROKEN:
                    writer.skip(video.id, "no frame can be decoded <moov atom not found>")
                    continue
                frames = frames_of(video, view, rng)
                repaired = broken and video.id == "box/box_s01"
                writer.add(
                    VideoRecord(
                        video.id, SIZE, SIZE, 160, 160, 16.0,
                        frames=None if view == "pose" else [encode(frame, 92) for frame in frames],
                        keypoints=frames if view == "pose" else None,
                        status="repaired" if repaired else "ok",
                        reason="1 damaged frame repeats the one before it" if repaired else "",
                    )
                )  # fmt: skip
            writer.finish(1.0)


def write_evaluation(results: Path, table: list[Video]) -> None:
    rng = np.random.default_rng(0)
    train = [video for video in table if video.splits["1"] == "train" and video.id != BROKEN]
    test = [video for video in table if video.splits["1"] == "test"]
    labels, gallery = (np.array([CLASSES.index(video.label) for video in part]) for part in (test, train))
    rows = []
    for pretraining, skill in SKILL.items():
        for view in (*VIEWS, "ensemble"):
            strength = skill * (1.5 if view == "ensemble" else 1.0)
            logits = rng.normal(size=(len(test), len(CLASSES))) + strength * np.eye(len(CLASSES))[labels]
            probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            near = rng.normal(size=(len(test), len(train))) + strength * (gallery == labels[:, None])
            order = np.argsort(-near, axis=1)[:, :10]
            task = Task("fake", pretraining, view, "linear", "1")
            folder = results / "evaluation" / pretraining / view
            ids = [video.id for video in test]
            classifier = ClassScores(task, ids, CLASSES, labels, probabilities, len(test), 0.25)
            task = Task("fake", pretraining, view, "retrieval", "1")
            retrieval = NeighbourScores(
                task, ids, [video.id for video in train], CLASSES, labels, gallery, order,
                np.take_along_axis(near / 9, order, 1), (1, 5, 10), len(test), 0.25,
            )  # fmt: skip
            for name, scores in (("linear", classifier), ("retrieval", retrieval)):
                write_result(scores, folder / f"{name}_split1.json", 200)
                rows.append(read_json(folder / f"{name}_split1.json"))
    write_json(results / "summary.json", {"rows": rows})


def write_logs(results: Path, epochs: int = 12) -> None:
    rng = np.random.default_rng(1)
    pairs = [f"{a}-{b}" for i, a in enumerate(VIEWS) for b in VIEWS[i + 1 :]]

    def line(epoch: int, views: tuple[str, ...], pairs: list[str]) -> dict[str, float]:
        fade = np.exp(-epoch / 5)
        terms = {f"cpc/{view}": 3 + 4 * fade + place * 0.3 for place, view in enumerate(views)}
        terms |= {f"accuracy/{view}": 0.5 - 0.45 * fade - place * 0.04 for place, view in enumerate(views)}
        terms |= {f"sync/{pair}": 0.1 + 0.2 * fade + 0.01 * place for place, pair in enumerate(pairs)}
        terms |= {f"sim/{pair}": 0.3 + 0.2 * fade + 0.02 * place for place, pair in enumerate(pairs)}
        return {key: float(value * rng.uniform(0.97, 1.03)) for key, value in terms.items()}

    def log(views: tuple[str, ...], pairs: list[str]) -> str:
        lines = [
            {"epoch": epoch, "loss": 9.0 / epoch, **line(epoch, views, pairs), "validation/loss": 9.5 / epoch,
             "learning_rate": 1e-3 if epoch < 9 else 1e-4,
             **{f"validation/{key}": value for key, value in line(epoch, views, pairs).items()}}
            for epoch in range(1, epochs + 1)
        ]  # fmt: skip
        return "".join(json.dumps(entry) + "\n" for entry in lines)

    for view in VIEWS:
        write_text(results / "pretrain" / "stage1" / f"{view}.log.jsonl", log((view,), []))
    write_text(results / "pretrain" / "cocon" / "log.jsonl", log(VIEWS, pairs) + '{"epoch": 13, "tra')


def write_checkpoints(results: Path) -> None:
    network = Network(layers=(1, 1, 1, 1), width=16, features=64)
    clip = Clip(blocks=4, frames_per_block=3, stride=1, crop=dict.fromkeys(VIEWS, 48))
    for view in VIEWS:
        path = results / "pretrain" / "cocon" / f"{view}.safetensors"
        save_encoder(
            path, build_network(view, network), view, clip, "cocon", epoch=12, seed=7, hardware="2 x A100"
        )


def write_all_features(results: Path, table: list[Video]) -> None:
    """A direction per class, and the more noise the less an encoder was trained."""
    rng = np.random.default_rng(2)
    ids = [video.id for video in table if video.id != BROKEN]
    labels = np.array([CLASSES.index(video.label) for video in table if video.id != BROKEN])
    centres = rng.normal(size=(len(CLASSES), 16))
    for pretraining, skill in SKILL.items():
        for view in VIEWS:
            x = (skill * centres[labels] + rng.normal(size=(len(ids), 16))).astype(np.float32)
            windows = np.ones(len(ids), np.int64)
            write_features(
                results / "features" / pretraining / f"{view}.h5",
                Features(ids, x, x, x, windows, view, pretraining),
            )


def write_benchmarks(results: Path) -> None:
    for name, seconds in {
        "index": 0.4,
        "extract/rgb_00000": 31.5,
        "extract/rgb_00001": 31.5,
        "extract/mask_pose_00000": 140.0,
        "pretrain/stage1_rgb": 44.0,
        "pretrain/cpc_sync": 90.0,
        "evaluation/linear_cocon_rgb_split1": 3.25,
        "evaluation/linear_cocon_ensemble_split1": 0.75,
        "features/cocon_rgb": 5.0,
    }.items():
        text = f"s\th:m:s\tmax_rss\tmean_load\n{seconds}\t0:01:11\t512.25\t99.1\n"
        write_text(results / "benchmarks" / f"{name}.tsv", text)


def make_results(folder: Path, broken: bool = True) -> Path:
    """Write everything below ``folder/fake`` and return that folder."""
    results, table = folder / "fake", videos()
    table = table if broken else table[:-1]
    write_manifest(results / "manifest.csv", table)
    write_shards(results / "shards", table, broken)
    write_evaluation(results, table)
    write_logs(results)
    write_checkpoints(results)
    write_all_features(results, table)
    write_benchmarks(results)
    return results


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up results; do not change them."""
    return make_results(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def inputs(results: Path) -> Inputs:
    return load_inputs(results, settings=SETTINGS)
