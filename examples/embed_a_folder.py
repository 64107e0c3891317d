"""Embeds the videos of a folder, writes the embeddings, and shows which videos are alike.

    python examples/embed_a_folder.py clips results/mine/export/cmc_sync embeddings.npz

The second argument is an exported encoder (docs/export.md); the third ends in .npz or .csv.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from cocon import load_encoder

folder, output = Path(sys.argv[1]), Path(sys.argv[3])
encoder = load_encoder(sys.argv[2])
found = encoder.embed(sorted(path for path in folder.rglob("*") if path.suffix in {".avi", ".mkv", ".mp4"}))

vectors = found.multi_view  # float32 (videos, D): the views side by side, each of length 1
if output.suffix == ".csv":
    with output.open("w", newline="") as file:
        csv.writer(file).writerows([video, *row] for video, row in zip(found.ids, vectors, strict=True))
else:
    np.savez(output, ids=found.ids, vectors=vectors)

cosines = vectors @ vectors.T / len(encoder.views)
np.fill_diagonal(cosines, -1)  # a video is not its own neighbour
for video, row in zip(found.ids, cosines, strict=True):
    nearest = row.argsort()[::-1][: min(3, len(row) - 1)]
    print(video, "is most like", ", ".join(f"{found.ids[i]} ({row[i]:.3f})" for i in nearest) or "no other")
for video, reason in found.skipped.items():
    print(video, "was skipped:", reason)
