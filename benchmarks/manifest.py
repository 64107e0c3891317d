"""How long a manifest as large as that of Kinetics-400 takes to write and to read.

python benchmarks/manifest.py [--rows 300000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cocon.datasets.manifest import Video, read_manifest, write_manifest

Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    rows = parser.parse_args().rows
    videos = [
        Video(
            f"train/{n:011d}_000001_000011",
            Path(f"data/kinetics400/videos/train/class_{n % 400}/{n:011d}_000001_000011.mp4"),
            f"class {n % 400}",
            f"{n:011d}",
            {"1": "train"},
        )
        for n in range(rows)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.csv"
        measure("written", lambda: write_manifest(path, videos))
        assert measure("read", lambda: read_manifest(path)) == videos
        print(f"{rows:,} rows, {path.stat().st_size / 1e6:.1f} MB")


def measure(what: str, action: Callable[[], Result]) -> Result:
    """The time on the clock, and that of the processor, which a busy machine disturbs less."""
    wall, busy = time.perf_counter(), time.process_time()
    result = action()
    print(f"{what} in {time.perf_counter() - wall:.2f} s, processor {time.process_time() - busy:.2f} s")
    return result


if __name__ == "__main__":
    main()
