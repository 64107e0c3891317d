"""The check of a file says what the extraction will make of it, and opens nothing but that file."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.odd_videos import CASES, Case
from benchmarks.video_files import write
from cocon.config.schema import RgbExtraction
from cocon.datasets.video_facts import MISSING, facts_of, glance
from cocon.shards import Shard
from view_extractors.base import Output
from view_extractors.pipeline.run import extract
from view_extractors.rgb.decode import Rgb


def row_of(path: Path, folder: Path) -> tuple[str, int]:
    """Status with its reason, and frames, of a video's row in a shard."""
    output = Output(Rgb(RgbExtraction(short_side=16)), folder / "rgb.h5")
    extract({"v": path}, [output], max_failed_fraction=1.0)
    row = Shard(output.path).videos["v"]
    return f"{row.status}: {row.reason}" if row.reason else row.status, row.frames


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_and_extraction_agree(tmp_path: Path, case: Case) -> None:
    (tmp_path / "v").mkdir()
    path = case.make(tmp_path / "v")
    facts = facts_of(path)
    status, frames = row_of(path, tmp_path)
    assert facts.status.partition(":")[0].replace(MISSING, "skipped") == case.outcome
    assert facts.status.replace(MISSING, "skipped: file is missing") == status
    assert facts.frames == frames


def test_what_is_not_a_file_is_seen_without_opening_it(tmp_path: Path) -> None:
    assert glance(tmp_path).status == "skipped: is a directory, not a file"
    (tmp_path / "loop").symlink_to("loop")
    assert glance(tmp_path / "loop").status == MISSING
    assert glance(tmp_path / ("a" * 300)).status == MISSING


@pytest.fixture
def connections() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine, and who called it so far."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, caller = server.accept()
                except OSError:
                    return
                calls.append(caller)
                connection.close()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield server.getsockname()[1], calls
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


SCRIPTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile {other}\n",
    "mpd": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' "
    "profiles='urn:mpeg:dash:profile:isoff-main:2011' mediaPresentationDuration='PT1S'><Period>"
    "<AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'><BaseURL>{other}</BaseURL>"
    "<SegmentBase/></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "rtsp": "RTSPtext\nrtsp://127.0.0.1:{port}/v\n",
}


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("named", ["as a video", "as what it is"])
@pytest.mark.parametrize("other", ["http://127.0.0.1:{port}/other.mp4", "other.mp4", "file:other.mp4"])
def test_a_file_that_names_others_opens_none_of_them(
    tmp_path: Path,
    connections: tuple[int, list[object]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    named: str,
    other: str,
) -> None:
    port, calls = connections
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "other.mp4")
    script = Path("v.mp4" if named == "as a video" else f"v.{kind}")
    script.write_text(SCRIPTS[kind].format(other=other.format(port=port), port=port))
    facts = facts_of(script)
    assert facts.status.startswith("skipped: ")
    assert facts.frames == 0
    assert row_of(script, tmp_path)[0] == facts.status
    assert calls == []
