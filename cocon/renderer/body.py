"""One person's body: its shape, its skeleton, and the mesh in any posture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cocon.renderer.makehuman import HumanTemplate, load_template
from cocon.renderer.rotations import align, transform

SIDES = {"Left": -1, "Right": 1}
_DOWN = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class Leg:
    """Lengths of one leg, and its foot relative to the ankle with the sole flat (metres)."""

    hip: np.ndarray  # (3,) from the pelvis joint
    thigh: float
    shank: float
    ball: np.ndarray  # (3,) joint of the toes, from the ankle
    heel: np.ndarray  # (3,) rearmost point of the sole
    ankle_height: float

    @property
    def length(self) -> float:
        """Hip to ankle with a straight knee."""
        return self.thigh + self.shank


class Body:
    """A body of some shape.

    Args:
        shape: strength of every morph by name; absent names are zero.
    """

    def __init__(self, shape: dict[str, float]) -> None:
        self.template: HumanTemplate = load_template()
        strengths = np.array([shape.get(name, 0.0) for name in self.template.morph_names], np.float32)
        used = np.flatnonzero(strengths)
        morph = np.tensordot(strengths[used], self.template.morphs[used].astype(np.float32), 1)
        self.vertices = (self.template.vertices + morph).astype(float)
        self.joints = self.template.joints(self.vertices, self.template.heads)
        self._ends = self.template.joints(self.vertices, self.template.tails)
        self._rest = self._hanging_limbs()
        heights = self.vertices[self.template.body, 1]
        self.sole = float(heights.min())
        self.height = float(heights.max()) - self.sole

    @classmethod
    def random(cls, rng: np.random.Generator) -> tuple[Body, str]:
        """Draw a young adult; returns the body and its sex ("male" or "female")."""
        sex = str(rng.choice(["male", "female"]))
        muscle, weight, height = rng.uniform(0, 1), rng.uniform(0.15, 0.85), rng.uniform(-0.35, 0.35)

        def three_levels(value: float) -> dict[str, float]:
            return {
                "min": max(0, 1 - 2 * value),
                "average": 1 - abs(2 * value - 1),
                "max": max(0, 2 * value - 1),
            }

        shape = {
            f"universal-{sex}-young-{m}muscle-{w}weight": a * b
            for m, a in three_levels(muscle).items()
            for w, b in three_levels(weight).items()
        }
        origins = rng.dirichlet([0.5] * 3)
        shape |= {
            f"{origin}-{sex}-young": part
            for origin, part in zip(("african", "asian", "caucasian"), origins, strict=True)
        }
        average = f"{sex}-young-averagemuscle-averageweight"
        shape[f"{average}-{'maxheight' if height > 0 else 'minheight'}"] = abs(height)
        shape[f"{average}-idealproportions"] = rng.uniform(0, 0.8)
        return cls(shape), sex

    def _direction(self, bone: str) -> np.ndarray:
        index = self.template.bone(bone)
        result: np.ndarray = self._ends[index] - self.joints[index]
        return result

    def _hanging_limbs(self) -> np.ndarray:
        """(B, 3, 3): what turns the mesh's rest pose into one with arms and legs hanging straight down."""
        rest = np.tile(np.eye(3), (len(self.template.bones), 1, 1))
        for side in SIDES:
            for upper, lower, followers in (
                (
                    "Arm",
                    "ForeArm",
                    (f"{side}Hand", f"{side}FingerBase", f"{side[0]}Thumb", f"{side}HandFinger1"),
                ),
                ("UpLeg", "Leg", ()),
            ):
                first = align(self._direction(side + upper), _DOWN)
                second = align(first @ self._direction(side + lower), _DOWN) @ first
                rest[self.template.bone(side + upper)] = first
                for bone in (side + lower, *followers):
                    rest[self.template.bone(bone)] = second
        return rest

    @cached_property
    def legs(self) -> dict[str, Leg]:
        """The two legs by side."""
        legs = {}
        at = {name: self.joints[index] for index, name in enumerate(self.template.bones)}
        for side in SIDES:
            hip, knee, ankle = (at[side + bone] for bone in ("UpLeg", "Leg", "Foot"))
            to_sole = self.sole - ankle[1]
            legs[side] = Leg(
                hip=hip - at["Hips"],
                thigh=float(np.linalg.norm(knee - hip)),
                shank=float(np.linalg.norm(ankle - knee)),
                ball=(at[side + "ToeBase"] - ankle) * [1, 1, 0],
                heel=np.array([-0.055, to_sole, 0.0]),
                ankle_height=-to_sole,
            )
        return legs

    def place(self, root: np.ndarray, turns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Put the skeleton into the world.

        Args:
            root: (T, 3) position of the pelvis joint.
            turns: (T, 3, 3) rotation of every bone from the pose with hanging limbs.

        Returns:
            (T, B, 3) joints and (T, B, 3, 4) affine maps from the rest mesh to the world.
        """
        names = self.template.bones
        turned = np.stack([turns[name] for name in names], 1) @ self._rest
        joints = np.empty((len(root), len(names), 3))
        for index, parent in enumerate(self.template.parents):
            if parent < 0:
                joints[:, index] = root
            else:
                offset = self.joints[index] - self.joints[parent]
                joints[:, index] = joints[:, parent] + turned[:, parent] @ offset
        shift = joints - transform(turned, self.joints)
        return joints, np.concatenate([turned, shift[..., None]], -1)
