"""Skin, hair and clothes: which triangles of the body are drawn, and in what colour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from cocon.renderer.body import SIDES, Body
from cocon.renderer.makehuman import HumanTemplate, load_template
from cocon.renderer.palette import CLOTHES, SHOES, TROUSERS, pick


class Material(IntEnum):
    """What a triangle is made of."""

    SKIN = 0
    HAIR = 1
    LIPS = 2
    BROWS = 3
    SHIRT = 4
    TROUSERS = 5
    SHOES = 6
    EYES = 7


PATTERNS = ("plain", "horizontal stripes", "vertical stripes", "check", "camouflage", "badge")

ROUGHNESS = np.array([0.04, 0.35, 0.0, 0.2, 0.1, 0.12, 0.15, 0.0])
"""Strength of the fine texture of every material."""

_SKINS = np.array(
    [
        [0.96, 0.80, 0.69],
        [0.92, 0.72, 0.58],
        [0.85, 0.62, 0.47],
        [0.72, 0.50, 0.36],
        [0.55, 0.37, 0.26],
        [0.38, 0.25, 0.18],
    ]
)
_HAIRS = np.array(
    [
        [0.08, 0.06, 0.05],
        [0.20, 0.12, 0.07],
        [0.35, 0.22, 0.12],
        [0.60, 0.45, 0.25],
        [0.45, 0.42, 0.40],
        [0.50, 0.20, 0.10],
    ]
)
# Heights (m, in the template) at which things begin and end.
_NECKLINE, _SHOE_TOP = 0.575, -0.73


@dataclass(frozen=True)
class Figure:
    """A dressed person, reduced to the vertices that are drawn.

    Attributes:
        vertices: (V, 3) of the body at rest, m.
        template: (V, 3) of the unmorphed body: patterns are laid out in it.
        weight_bones, weights: (V, 4) skin weights.
        faces: (F, 3) int32.
        materials: (F,) int32, values of ``Material``.
        scalp: (V,) 1 where hair thickens the head.
        iris: (V,) 1 on the iris of the eyes.
        colours: (len(Material), 3), and ``shirt_second`` (3,) for the pattern.
        pattern: index into ``PATTERNS``; ``pattern_scale`` in cycles per decimetre.
        landmarks: vertex lists whose mean is "nose", "left_eye", "right_eye", "left_ear", "right_ear".
    """

    vertices: np.ndarray
    template: np.ndarray
    weight_bones: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    materials: np.ndarray
    scalp: np.ndarray
    iris: np.ndarray
    colours: np.ndarray
    shirt_second: np.ndarray
    pattern: int
    pattern_scale: float
    landmarks: dict[str, np.ndarray]


@dataclass(frozen=True)
class Looks:
    """What stays the same in all clips of one person."""

    skin: np.ndarray
    hair: np.ndarray
    long_hair: bool
    hair_end: float
    beard: bool

    @classmethod
    def random(cls, rng: np.random.Generator, sex: str) -> Looks:
        """Draw skin and hair."""
        tone = rng.uniform(0, len(_SKINS) - 1)
        skin = np.array([np.interp(tone, range(len(_SKINS)), channel) for channel in _SKINS.T])
        return cls(
            skin=skin,
            hair=_HAIRS[rng.integers(len(_HAIRS))] * rng.uniform(0.8, 1.2),
            long_hair=bool(rng.random() < (0.6 if sex == "female" else 0.05)),
            hair_end=float(rng.choice([0.36, 0.46, 0.56])),
            beard=bool(sex == "male" and rng.random() < 0.3),
        )


def dress(body: Body, looks: Looks, rng: np.random.Generator) -> Figure:
    """Put clothes on a body; they are sampled again for every clip."""
    template = load_template()
    sleeve = rng.choice([0.45, 0.7, 1.7, 1.9])
    trouser_end = rng.choice([-0.26, -0.73, -0.73, -0.73])
    waist = rng.uniform(-0.02, 0.1)
    faces, materials = _cover(template, looks, sleeve, trouser_end, waist)
    colours = np.zeros((len(Material), 3))
    colours[Material.SKIN] = looks.skin
    colours[Material.LIPS] = looks.skin * [0.85, 0.55, 0.55]
    colours[Material.HAIR] = looks.hair
    colours[Material.BROWS] = looks.hair * 0.9
    colours[Material.SHIRT], second = pick(rng, CLOTHES, 0.035), pick(rng, CLOTHES, 0.035)
    colours[Material.TROUSERS] = pick(rng, TROUSERS)
    colours[Material.SHOES] = pick(rng, SHOES)
    colours[Material.EYES] = 0.95

    drawn = np.zeros(len(template.vertices), bool)
    drawn[faces] = True
    used, number = np.flatnonzero(drawn), np.cumsum(drawn) - 1
    faces = number[faces]
    scalp = np.zeros(len(used))
    scalp[faces[materials == Material.HAIR]] = 1
    return Figure(
        vertices=body.vertices[used],
        template=template.vertices[used].astype(float),
        weight_bones=template.weight_bones[used],
        weights=template.weights[used].astype(float),
        faces=faces.astype(np.int32),
        materials=materials.astype(np.int32),
        scalp=scalp,
        iris=_irises()[used],
        colours=colours,
        shirt_second=second,
        pattern=int(rng.integers(len(PATTERNS))),
        pattern_scale=float(rng.uniform(0.35, 1.1)),
        landmarks={name: number[vertices] for name, vertices in _landmarks().items()},
    )


def _cover(
    template: HumanTemplate, looks: Looks, sleeve: float, trouser_end: float, waist: float
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and materials of skin, clothes, eyes and hair; skin under clothes is left out."""
    cloth = _worn(template, sleeve, trouser_end)
    nearest = _nearest_tights()
    hidden = (nearest >= 0) & cloth[np.maximum(nearest, 0)]
    skin = template.body[~hidden[template.body].all(1)]
    clothes = template.tights[cloth[template.tights].all(1)]
    height = template.vertices[clothes].mean(1)[:, 1]
    upper = (arm_parameter()[clothes].mean(1) >= 0) | (height > waist)
    garment = np.where(upper, Material.SHIRT, Material.TROUSERS)
    garment[height < _SHOE_TOP - 0.005] = Material.SHOES
    faces = [skin, clothes, template.eyes]
    materials = [
        _skin_materials(template, skin, looks.beard),
        garment,
        np.full(len(template.eyes), Material.EYES),
    ]
    if looks.long_hair:
        strands = template.hair[(template.vertices[template.hair][..., 1] > looks.hair_end).all(1)]
        faces.append(strands)
        materials.append(np.full(len(strands), Material.HAIR))
    return np.concatenate(faces), np.concatenate(materials)


def _worn(template: HumanTemplate, sleeve: float, trouser_end: float) -> np.ndarray:
    """(V,) which vertices of the tights are kept as clothes or shoes."""
    arm, height = arm_parameter(), template.vertices[:, 1]
    body = (height > trouser_end) | (height < _SHOE_TOP - 0.005)
    worn = np.where(arm >= 0, arm < sleeve, body) & (height < _NECKLINE)
    only_tights = np.zeros(len(height), bool)
    only_tights[template.tights] = True
    return worn & only_tights


def _skin_materials(template: HumanTemplate, faces: np.ndarray, beard: bool) -> np.ndarray:
    """Hair cap, lips, brows, beard and bare feet's shoes, by where a triangle lies in the template."""
    forward, height, aside = np.moveaxis(template.vertices[faces].mean(1), -1, 0)
    aside = abs(aside)
    ears, lips, face = (
        getattr(template, name)[faces].astype(float).mean(1) for name in ("ears", "lips", "face")
    )
    materials = np.full(len(faces), int(Material.SKIN))
    back = (forward < 0.055) & (height > 0.66)
    sides = (forward < 0.075) & (height > 0.70)
    top = (height > 0.802) | ((height > 0.775) & (forward < 0.11))
    materials[(back | sides | top) & (height > 0.655) & (ears < 0.5)] = Material.HAIR
    materials[height < _SHOE_TOP] = Material.SHOES
    materials[lips > 0.5] = Material.LIPS
    brows = (abs(height - 0.756) < 0.005) & (forward > 0.105) & (abs(aside - 0.035) < 0.024)
    materials[brows] = Material.BROWS
    if beard:
        jaw = (height < 0.695) & (height > 0.63) & (forward > 0.045) & (aside < 0.1) & (face > 0.3)
        materials[jaw & (lips < 0.5) & ((height < 0.675) | (aside > 0.05))] = Material.BROWS
    return materials


@cache
def arm_parameter() -> np.ndarray:
    """(V,) 0 at the shoulder, 1 at the elbow, 2 at the wrist; -1 away from the arms."""
    points = load_template().vertices.astype(float)
    result = np.full(len(points), -1.0)
    for sign in SIDES.values():
        shoulder, elbow, wrist = np.array(
            [[0.015, 0.525, 0.168], [0.013, 0.349, 0.313], [0.176, 0.245, 0.431]]
        ) * [1, 1, sign]
        upper, fore = elbow - shoulder, wrist - elbow
        along_upper = (points - shoulder) @ upper / (upper @ upper)
        along_fore = (points - elbow) @ fore / (fore @ fore)
        along = np.where(along_fore > 0, 1 + along_fore, np.minimum(along_upper, 1))
        aside, height = points[:, 2] * sign, points[:, 1]
        reachable = (aside > 0.135) & (height > np.where(aside > 0.35, -0.05, 0.15))
        torso = (aside < 0.19) & (height < 0.42)
        result = np.where(reachable & ~torso & (along > -0.2), along, result)
    return result


@cache
def _nearest_tights() -> np.ndarray:
    """(V,) the tights' vertex that lies over a vertex of the skin, or -1."""
    template = load_template()
    tights = np.unique(template.tights)
    distance, index = cKDTree(template.vertices[tights]).query(template.vertices)
    return np.where(distance < 0.045, tights[index], -1)


@cache
def _irises() -> np.ndarray:
    """(V,) 1 on the vertices of the irises."""
    template = load_template()
    iris = np.zeros(len(template.vertices))
    eyes = np.unique(template.eyes)
    points = template.vertices[eyes].astype(float)
    for sign in SIDES.values():
        one = points[:, 2] * sign > 0
        centred = points[one] - points[one].mean(0)
        iris[eyes[one]] = centred[:, 0] > 0.72 * np.linalg.norm(centred, axis=1).max()
    return iris


@cache
def _landmarks() -> dict[str, np.ndarray]:
    """Vertices of the five COCO keypoints of the face."""
    template = load_template()
    skin, eyes = np.unique(template.body), np.unique(template.eyes)
    forward, height, aside = template.vertices[skin].T
    middle = (abs(aside) < 0.005) & (height > 0.68) & (height < 0.74)
    marks = {"nose": skin[[np.argmax(np.where(middle, forward, -1))]]}
    ears = skin[template.ears[skin] > 0.5]
    for side, sign in (("left", -1), ("right", 1)):
        marks[f"{side}_eye"] = eyes[template.vertices[eyes, 2] * sign > 0]
        marks[f"{side}_ear"] = ears[template.vertices[ears, 2] * sign > 0]
    return marks
