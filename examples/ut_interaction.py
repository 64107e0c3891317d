"""Writes the tables of UT-Interaction, for config/ut_interaction.yaml.

    python examples/ut_interaction.py data/ut_interaction

UT-Interaction (Ryoo and Aggarwal 2010) has six classes of interactions of two persons: 20 sequences in two
sets of ten, set 1 on a parking lot, set 2 on a lawn. The videos must be named
<class>/set<S>_seq<N>_<anything>.<ending>, where S is 1 or 2. The script writes two tables into the folder:

- folds.csv: the sequence is the group, for cross-validation;
- sets.csv: in split 1, set 1 trains and set 2 tests; in split 2 the other way round.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from cocon.files import write_csv

_NAME = re.compile(r"set(?P<set>[12])_seq(?P<sequence>\d+)_.*\.(avi|mp4|mkv|mov)")


def rows(folder: Path) -> list[dict[str, str]]:
    """One row per video of the folder, by class and name."""
    found = []
    for path in sorted(folder.glob("*/*")):
        if match := _NAME.fullmatch(path.name):
            first = match["set"] == "1"
            found.append(
                {
                    "video": path.relative_to(folder).as_posix(),
                    "label": path.parent.name,
                    "group": f"set{match['set']}seq{match['sequence']}",
                    "split_1": "train" if first else "test",
                    "split_2": "test" if first else "train",
                }
            )
    return found


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, help="folder of the videos")
    parser.add_argument("--output", type=Path, help="folder of the tables (default: that of the videos)")
    args = parser.parse_args()
    table = rows(args.videos)
    if not table:
        sys.exit(f"{args.videos} has no videos named <class>/set<S>_seq<N>_<anything>.avi")
    output = args.output or args.videos
    output.mkdir(parents=True, exist_ok=True)
    columns = ["video", "label", "group"]
    write_csv(output / "folds.csv", table, columns)
    write_csv(output / "sets.csv", table, [*columns, "split_1", "split_2"])
    print(f"{output}: folds.csv and sets.csv, {len(table)} videos")


if __name__ == "__main__":
    main()
