"""The embedded demo data set: which clips it has, and rendering them in parallel, resumable, all or nothing.

Importing this module is cheap; the renderer and its compiler are loaded by the first clip.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cocon.config.schema import FIRST_VALIDATION_SUBJECT, DemoDataset
from cocon.datasets.manifest import TEST, TRAIN, VALIDATION, Video
from cocon.datasets.source import Source
from cocon.errors import DatasetError
from cocon.files import file_lock, fingerprint, write_csv
from cocon.renderer.progress import in_processes, progress_of
from cocon.versions import STAGES

ACTIONS = ("walk", "run", "jump", "jumping_jack", "wave", "squat", "bow", "clap", "box", "kick")


def list_videos(settings: DemoDataset) -> list[Video]:
    """All clips, whether they are rendered or not. A group is a person, who has one role only.

    Validation people have numbers of their own, so that the others are the same with and without them.
    """
    videos = []
    for subject, role in _people(settings):
        for action in ACTIONS:
            for take in range(1, settings.takes + 1):
                name = f"{action}/{action}_s{subject:02d}_t{take}"
                path = settings.root / "videos" / f"{name}.mp4"
                videos.append(Video(name, path, action, f"s{subject:02d}", {"1": role}))
    return videos


def _people(settings: DemoDataset) -> Iterator[tuple[int, str]]:
    """The number and the role of each person."""
    for subject in range(1, settings.train_subjects + settings.test_subjects + 1):
        yield subject, TRAIN if subject <= settings.train_subjects else TEST
    for subject in range(settings.validation_subjects):
        yield FIRST_VALIDATION_SUBJECT + subject, VALIDATION


def truth_path(settings: DemoDataset, video_id: str) -> Path:
    """Where the true joints, masks and flow of a clip are (see ``cocon.renderer.truth.Truth``)."""
    return settings.root / "truth" / f"{video_id}.npz"


def render(settings: DemoDataset, processes: int = 1) -> None:
    """Render all clips and their truth below ``settings.root``.

    Clips are first made in a work folder next to the root, which a killed run leaves behind and the next one
    continues; they are moved to their names when all are there. A table ``videos.csv`` like that of a user's
    own folder of videos is written last.

    Args:
        settings: of the data set.
        processes: number of clips rendered at the same time.

    Raises:
        DatasetError: if the size cannot be encoded.
        AssetError: if the data of the human body cannot be had.
    """
    if settings.size % 2:
        raise DatasetError(f"size {settings.size} is odd", "H.264 needs an even number of pixels")
    videos = list_videos(settings)
    what = settings.model_dump(mode="json", include=set(settings.rendered_as()) - {"root"})
    # Unfinished work of another version of the renderer is not taken over.
    key = fingerprint([STAGES["render"], what])
    work = settings.root.parent / f".{settings.root.name}-{key}"
    with file_lock(work.with_suffix(".lock")):
        waiting = [video for video in videos if not _is_done(settings, work, video)]
        progress = progress_of(_rendered(settings, work, waiting, processes), len(waiting), len(videos))
        for video_id in progress:
            (work / f"{video_id}.done").touch()
        for video in videos:
            for made, final in _files(settings, work, video):
                if made.exists():
                    final.parent.mkdir(parents=True, exist_ok=True)
                    made.replace(final)
        rows = [
            {
                "video": f"{video.id}.mp4",
                "label": video.label,
                "split": video.splits["1"],
                "group": video.group,
            }
            for video in videos
        ]
        write_csv(settings.root / "videos.csv", rows, ["video", "label", "split", "group"])
        shutil.rmtree(work, ignore_errors=True)


def _files(settings: DemoDataset, work: Path, video: Video) -> list[tuple[Path, Path]]:
    """The files of a clip in the work folder and under their final names."""
    return [
        (work / f"{video.id}.npz", truth_path(settings, video.id)),
        (work / f"{video.id}.mp4", video.path),
    ]


def _is_done(settings: DemoDataset, work: Path, video: Video) -> bool:
    """Whether an interrupted run made the clip, and it still exists."""
    marked = (work / f"{video.id}.done").exists()
    return marked and all(made.exists() or final.exists() for made, final in _files(settings, work, video))


def _rendered(settings: DemoDataset, work: Path, videos: list[Video], processes: int) -> Iterator[str]:
    """Render into the work folder; yields the id of every clip that is finished."""
    tasks = [(video.id, _clip_key(settings, video), work, settings.truth_flow_every) for video in videos]
    return in_processes(_make, tasks, processes)


def _clip_key(settings: DemoDataset, video: Video) -> dict[str, Any]:
    take = int(video.id.rpartition("_t")[2])
    subject = int(video.group.removeprefix("s"))
    return {
        "seed": settings.seed,
        "action": video.label,
        "subject": subject,
        "take": take,
        "frames": settings.frames,
        "size": settings.size,
    }


def _make(task: tuple[str, dict[str, Any], Path, int]) -> str:
    """Render one clip; runs in a worker process."""
    import cv2

    from cocon.renderer.clip import ClipKey, make_clip, write_video

    cv2.setNumThreads(1)
    video_id, key, work, flow_every = task
    frames, truth = make_clip(ClipKey(**key), flow_every)
    truth.save(work / f"{video_id}.npz")
    write_video(work / f"{video_id}.mp4", frames)
    return video_id


SOURCE = Source("the embedded demo", list_videos)
