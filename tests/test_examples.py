"""The scripts in examples/, run as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from cocon.config.schema import FolderDataset
from cocon.datasets.folder import list_videos

REPOSITORY = Path(__file__).parent.parent


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "examples" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_tables_of_ut_interaction(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    names = [
        f"set{s}_seq{n:02}_clip00_{label}.avi" for s in (1, 2) for n in (1, 2) for label in ("hug", "kick")
    ]
    for name in names:
        path = videos / name.split("_")[-1].removesuffix(".avi") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (videos / "hug" / "notes.txt").touch()
    done = run("ut_interaction.py", str(videos), "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr

    configured = yaml.safe_load((REPOSITORY / "config" / "ut_interaction.yaml").read_text())["datasets"]
    listed = {}
    for name, section in configured.items():
        place = {"videos": videos, "table": tmp_path / Path(section["table"]).name, "shards": 1}
        keys = section | place | ({"folds": 2} if "folds" in section else {})  # there are four sequences here
        listed[name] = list_videos(FolderDataset.model_validate(keys))
    assert len(listed["ut"]) == len(listed["ut_folds"]) == len(names)
    for video in listed["ut"]:
        first = "/set1_" in video.id
        assert video.splits == {"1": "train" if first else "test", "2": "test" if first else "train"}
    for fold in ("1", "2"):
        tested = {video.group for video in listed["ut_folds"] if video.splits[fold] == "test"}
        trained = {video.group for video in listed["ut_folds"] if video.splits[fold] == "train"}
        assert len(tested) == len(trained) == 2
        assert not tested & trained


def test_a_folder_without_such_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hug").mkdir()
    (tmp_path / "hug" / "a.avi").touch()
    done = run("ut_interaction.py", str(tmp_path))
    assert done.returncode == 1
    assert "set<S>_seq<N>" in done.stderr
    assert not list(tmp_path.glob("*.csv"))
