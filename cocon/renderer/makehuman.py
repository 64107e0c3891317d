"""The human body: mesh, morphs, clothes, rig and skin weights of MakeHuman (CC0), as arrays.

World axes everywhere in this package: x forward, y up, z to the person's right; metres.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cocon.assets import cache_folder, fetch
from cocon.files import atomic_path, file_lock

PARTS = {
    "body": "body",
    "helper-tights": "tights",
    "helper-skirt": "skirt",
    "helper-hair": "hair",
    "helper-l-eye": "eyes",
    "helper-r-eye": "eyes",
}
"""Groups of the mesh file that are drawn, and the name of the part each belongs to."""

_CACHE_VERSION = 2
_RIG_POINTS = 8  # a rig joint is the mean of at most this many vertices


@dataclass(frozen=True)
class HumanTemplate:
    """The body before it is morphed, dressed and posed.

    Attributes:
        vertices: (V, 3) float32.
        morph_names, morphs: (M,) and (M, V, 3) float16, displacement at full strength.
        body, tights, skirt, hair, eyes: (F, 3) int32, triangles of each part.
        face, lips, ears: (V,) float32 in [0, 1], where that part of the skin is.
        bones, parents: (B,) names and indices, parents before children, -1 for the root.
        heads, tails: (B, 8) vertices whose mean is the joint, padded with -1.
        weight_bones, weights: (V, 4) int32 and float32, skin weights that sum to one.
    """

    vertices: np.ndarray
    morph_names: np.ndarray
    morphs: np.ndarray
    body: np.ndarray
    tights: np.ndarray
    skirt: np.ndarray
    hair: np.ndarray
    eyes: np.ndarray
    face: np.ndarray
    lips: np.ndarray
    ears: np.ndarray
    bones: np.ndarray
    parents: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    weight_bones: np.ndarray
    weights: np.ndarray

    def bone(self, name: str) -> int:
        """Index of a bone."""
        result: int = self.bones.tolist().index(name)
        return result

    def joints(self, vertices: np.ndarray, of: np.ndarray) -> np.ndarray:
        """(B, 3) positions of ``heads`` or ``tails`` in a morphed mesh."""
        used = of >= 0
        result: np.ndarray = (vertices[of] * used[..., None]).sum(1) / used.sum(1, keepdims=True)
        return result


@cache
def load_template() -> HumanTemplate:
    """Read the body; the parsed arrays are kept in the cache folder for the next process."""
    source = fetch("makehuman")
    path = cache_folder() / f"{source.name}-parsed{_CACHE_VERSION}.npz"
    with file_lock(path.with_suffix(".lock")):
        if not path.exists():
            parsed = _parse(source)
            with atomic_path(path) as temporary:
                np.savez(temporary, **{field.name: getattr(parsed, field.name) for field in fields(parsed)})
    with np.load(path) as arrays:
        return HumanTemplate(**{name: arrays[name] for name in arrays.files})


def _to_world(points: np.ndarray) -> np.ndarray:
    # MakeHuman: x to the left, y up, z forward, decimetres.
    return np.stack([points[..., 2], points[..., 1], -points[..., 0]], -1) * 0.1


def _parse(folder: Path) -> HumanTemplate:
    vertices, uv, parts = _read_mesh(folder / "3dobjs" / "base.obj")
    files = sorted((folder / "targets").rglob("*.target.gz"))
    bones, parents, heads, tails = _read_rig(folder)
    weight_bones, weights = _read_weights(folder, bones, len(vertices))
    return HumanTemplate(
        vertices=_to_world(vertices).astype(np.float32),
        morph_names=np.array([file.name.removesuffix(".target.gz") for file in files]),
        morphs=np.stack([_to_world(_read_morph(file, len(vertices))) for file in files]).astype(np.float16),
        **parts,
        **{name: _paint(folder / "textures" / f"mpfb_{name}.jpg", uv) for name in ("face", "lips", "ears")},
        bones=np.array(bones),
        parents=parents,
        heads=heads,
        tails=tails,
        weight_bones=weight_bones,
        weights=weights,
    )


def _read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices (V, 3), one texture coordinate per vertex (V, 2), and the triangles of every part."""
    points, coordinates, part = [], [], None
    triangles: dict[str, list[list[list[int]]]] = {name: [] for name in PARTS.values()}
    for line in path.read_text().splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            points.append([float(value) for value in values])
        elif kind == "vt":
            coordinates.append([float(value) for value in values[:2]])
        elif kind == "g":
            part = PARTS.get(values[0])
        elif kind == "f" and part:
            corners = [[int(index) - 1 for index in value.split("/")[:2]] for value in values]
            triangles[part] += [[corners[0], corners[1], corners[2]], [corners[0], corners[2], corners[3]]]
    uv = np.zeros((len(points), 2))
    parts = {}
    for name, listed in triangles.items():
        array = np.array(listed)
        uv[array[..., 0]] = np.array(coordinates)[array[..., 1]]
        parts[name] = array[..., 0].astype(np.int32)
    return np.array(points), uv, parts


def _read_morph(path: Path, count: int) -> np.ndarray:
    displacement = np.zeros((count, 3))
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                index, *offset = line.split()
                displacement[int(index)] = [float(value) for value in offset]
    return displacement


def _read_rig(folder: Path) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    rig = json.loads((folder / "rigs/standard/rig.cmu_mb.json").read_text())
    rig = rig.get("bones", rig)
    groups = json.loads((folder / "mesh_metadata/basemesh_vertex_groups.json").read_text())
    bones: list[str] = []
    while len(bones) < len(rig):
        bones += [
            name for name in rig if name not in bones and (rig[name]["parent"] or None) in (None, *bones)
        ]
    parents = np.array([bones.index(rig[name]["parent"]) if rig[name]["parent"] else -1 for name in bones])

    def vertices_of(joint: dict[str, Any]) -> list[int]:
        if joint["strategy"] == "CUBE":
            first, last = groups[joint["cube_name"]][0]
            return list(range(first, last + 1))
        return joint["vertex_indices"] if joint["strategy"] == "MEAN" else [joint["vertex_index"]]

    ends = {end: np.full((len(bones), _RIG_POINTS), -1) for end in ("head", "tail")}
    for row, name in enumerate(bones):
        for end, table in ends.items():
            indices = vertices_of(rig[name][end])[:_RIG_POINTS]
            table[row, : len(indices)] = indices
    return bones, parents, ends["head"], ends["tail"]


def _read_weights(folder: Path, bones: list[str], count: int) -> tuple[np.ndarray, np.ndarray]:
    listed = json.loads((folder / "rigs/standard/weights.cmu_mb.json").read_text())["weights"]
    dense = np.zeros((count, len(bones)))
    for column, name in enumerate(bones):
        for vertex, weight in listed[name]:
            dense[int(vertex), column] = weight
    strongest = np.argsort(-dense, axis=1, kind="stable")[:, :4]
    weights = np.take_along_axis(dense, strongest, 1)
    total = weights.sum(1, keepdims=True)
    # Vertices that only mark joints have no weights; they are never drawn.
    return strongest.astype(np.int32), (weights / np.where(total, total, 1)).astype(np.float32)


def _paint(path: Path, uv: np.ndarray) -> np.ndarray:
    """Brightness in [0, 1] of a painted mask at every vertex."""
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    height, width = picture.shape
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    result: np.ndarray = picture[row, column].astype(np.float32) / 255
    return result
