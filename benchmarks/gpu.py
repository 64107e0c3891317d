"""Everything that uses a GPU: are its answers the CPU's, and how fast is it?

    python -m benchmarks.gpu [--minutes 6]

Needs a GPU (without one it says so and ends), no network and no installation of the project: PYTHONPATH is
enough. Frames of a real clip are used for TV-L1 if COCON_SHARED_DATA (default ../shared/data) has it; all
else is rendered or random. The parts, the most important first, until the minutes are over:

- card: matrix products and copies, the peaks that the other rows are compared with;
- tvl1: three sizes and both presets;
- steps: the pretraining step at 64 and 16 clips, from memory, with the default switches and with each off;
- shards: the same from shards, with workers;
- features: those of whole videos;
- extraction: videos to a shard of flow, with the time of each stage;
- networks: RAFT and the detectors, with random weights, where torchvision is installed;
- compile: the step with torch.compile;
- graph: the step as one CUDA graph, against the same step without;
- tuning: the kernels of TV-L1 with other strips, rows, depths and registers than the chosen ones.

Every row has a rate, its share of the card's peak (arithmetic, or bytes for flow), the peak memory and,
where there is a CPU's answer, whether they agree. A row that cannot be measured gives the reason, and each
part has a process of its own. The last line is one JSON object, name to figure. The exit status is 1 where
an answer is not the CPU's.

The smoke test, ``--device cpu --quick``, runs all rows in tiny sizes and in one process; its figures mean
nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time

import torch

from benchmarks.on_gpu.part import PARTS, in_a_process, rows_of
from benchmarks.on_gpu.rows import Row, Task, figures, header, line


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=6, help="ends within these (default %(default)s)")
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        print("no GPU: nothing to measure")
        return 0
    # a process needs a moment to end
    task = Task(options.device, options.quick, time.time() + 60 * options.minutes - 3)
    card = torch.cuda.get_device_name() if options.device != "cpu" else platform.machine()
    print(f"{card}, torch {torch.__version__}", flush=True)
    print(header(), flush=True)
    rows: dict[str, Row] = {}
    for part in PARTS:
        if task.left() < 5 and not options.quick:
            rows[part] = {"skipped": "the minutes are over"}
            print(line(part, rows[part]), flush=True)
            continue
        for name, row in (rows_of if options.quick else in_a_process)(part, task):
            rows[name] = row
            print(line(name, row), flush=True)
            if name.startswith("card ") and "rate" in row:
                task.peaks[name.removeprefix("card ")] = row["rate"]
    print(json.dumps({"card": card, "torch": torch.__version__, **figures(rows)}))
    return 1 if any(row.get("agrees") is False for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
