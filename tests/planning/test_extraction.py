from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cocon.config.schema import Config
from cocon.datasets.manifest import Video
from cocon.errors import CoConError
from cocon.planning import extraction
from cocon.planning.extraction import measure_extraction
from cocon.workflow.documents.extraction import passes


def config(**changes: Any) -> Config:
    document = {
        "datasets": {
            "mine": {"kind": "folder", "recipe": "r", "shards": 1, "videos": "v", "table": "t"},
            "demo": {"kind": "demo", "recipe": "r", "shards": 1, "frames": 40, "size": 160},
            "ucf": {"kind": "ucf101", "recipe": "r", "shards": 1, "videos": "v", "lists": "l"},
        },
        "recipes": {"r": {}},
    }
    return Config.model_validate(document | changes)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would measure; each is answered with one second per stage and frame."""
    commands: list[list[str]] = []

    def answer(command: list[str]) -> Any:
        commands.append(command)
        views = command[4 : command.index("--settings")]
        cost = {"decode": 1, "inference": 1, "write": 1, "bytes": 10, "on_gpu": "flow" in views}
        return {
            "frames": 100,
            "assumed": ["all 2 cores are busy", "a rendered video"],
            "views": dict.fromkeys(views, cost),
        }

    monkeypatch.setattr(extraction, "_ask", answer)
    return commands


def videos(folder: Path, present: int) -> list[Video]:
    found = [Video(f"{n}", folder / f"{n}.mp4", "x", "", {"1": "train"}) for n in range(10)]
    for video in found[:present]:
        video.path.touch()
    return found


def test_one_pass_where_the_rules_have_one() -> None:
    assert passes(config().recipe_of("mine"), config().views) == [("rgb",), ("flow",), ("pose", "mask")]
    apart = config(recipes={"r": {"extraction": {"mask": {"backend": "torchvision"}}}})
    assert passes(apart.recipe_of("mine"), apart.views) == [("rgb",), ("flow",), ("mask",), ("pose",)]


def test_videos_that_are_there_are_measured_and_stand_for_all(asked, tmp_path: Path) -> None:
    costs = measure_extraction(config(), config().datasets["mine"], videos(tmp_path, present=5))
    assert costs.frames == 200
    assert costs.views["rgb"].seconds == 3
    assert costs.views["flow"].seconds == 1, "on a GPU the stages run side by side"
    assert costs.assumed == ("a rendered video",)
    assert all("--manifest" in command for command in asked)


def test_without_videos_the_published_or_rendered_numbers_serve(asked, tmp_path: Path) -> None:
    measure_extraction(config(), config().datasets["ucf"], [])
    assert all(command[command.index("--dataset") + 1] == "ucf101" for command in asked)
    asked.clear()
    measure_extraction(config(), config().datasets["demo"], videos(tmp_path, present=0))
    assert all(command[command.index("--frames") + 1] == "400" for command in asked)
    with pytest.raises(CoConError, match="none of the 10 videos exists"):
        measure_extraction(config(), config().datasets["mine"], videos(tmp_path, present=0))


def test_each_backend_is_measured_by_its_own_interpreter(asked) -> None:
    own = config(
        interpreters={"mmpose": "/other/python"},
        recipes={"r": {"extraction": {"pose": {"backend": "mmpose"}}}},
    )
    measure_extraction(own, own.datasets["ucf"], [])
    assert [command[0] for command in asked if "pose" in command[:6]] == ["/other/python"]
    settings = [command[command.index("pose", 5) + 1] for command in asked if "pose" in command[:5]]
    assert json.loads(settings[0])["backend"] == "mmpose"


def test_what_the_tool_complains_of_is_handed_on() -> None:
    with pytest.raises(CoConError, match="could not measure"):
        extraction._ask([sys.executable, "-c", "import sys; sys.exit('no backend')", "", ""])
