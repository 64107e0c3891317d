"""The colour wheel of optical flow: hue is direction, saturation is speed, no motion is white.

Baker, Scharstein, Lewis, Roth, Black, Szeliski: A Database and Evaluation Methodology for Optical Flow,
IJCV 92 (2011), figure 1. The wheel has 55 hues; the six transitions between the primary and secondary
colours get as many steps as the eye can distinguish.
"""

from __future__ import annotations

import numpy as np

from cocon.views import FLOW_ZERO

# From each corner of the colour circle to the next: how many steps it takes.
_CORNERS = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255))
_STEPS = (15, 6, 4, 11, 13, 6)


def colour_wheel() -> np.ndarray:
    """The 55 hues from red over yellow, green, cyan, blue and magenta; float32 (55, 3) in [0, 1]."""
    arcs = []
    for index, steps in enumerate(_STEPS):
        start = np.array(_CORNERS[index], np.float32)
        stop = np.array(_CORNERS[(index + 1) % len(_CORNERS)], np.float32)
        arcs.append(start + (stop - start) * (np.arange(steps, dtype=np.float32) / steps)[:, None])
    return np.concatenate(arcs) / 255


def colour_of_flow(flow_HW2: np.ndarray, full_scale: float) -> np.ndarray:
    """Paint a flow field.

    Args:
        flow_HW2: motion (u, v) in pixels; u to the right, v downwards.
        full_scale: speed in pixels that gets the purest colour; faster motion is darkened.

    Returns:
        ``uint8`` (H, W, 3), rgb. Motion to the right is red, downwards yellow, to the left cyan-blue,
        upwards violet.
    """
    if full_scale <= 0:
        raise ValueError(f"full_scale must be positive, not {full_scale}")
    u_HW, v_HW = np.moveaxis(np.asarray(flow_HW2, np.float32) / full_scale, -1, 0)
    speed_HW1 = np.hypot(u_HW, v_HW)[..., None]
    wheel = colour_wheel()
    turn_HW = np.arctan2(v_HW, u_HW) / (2 * np.pi) % 1.0 * len(wheel)
    lower_HW = np.floor(turn_HW).astype(int)
    part_HW1 = (turn_HW - lower_HW)[..., None]
    hue_HW3 = (1 - part_HW1) * wheel[lower_HW % len(wheel)] + part_HW1 * wheel[(lower_HW + 1) % len(wheel)]
    colour_HW3 = np.where(speed_HW1 <= 1, 1 - speed_HW1 * (1 - hue_HW3), 0.75 * hue_HW3)
    result: np.ndarray = (255 * colour_HW3 + 0.5).astype(np.uint8)
    return result


def pixels_of_stored(stored_HW2: np.ndarray, bound: float) -> np.ndarray:
    """Stored bytes of the flow view to pixels: float32 of the same shape, 128 being no motion."""
    return (np.asarray(stored_HW2, np.float32) - FLOW_ZERO) * (bound / 127)


def wheel_picture(size: int) -> np.ndarray:
    """The legend: every direction at every speed in a disc; ``uint8`` (size, size, 4), rgb and opacity."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    flow_HW2 = np.stack(np.meshgrid(axis, axis), axis=-1)
    radius_HW = np.hypot(flow_HW2[..., 0], flow_HW2[..., 1])
    edge_HW = np.clip((1 - radius_HW) * size / 2, 0, 1)
    flow_HW2 /= np.maximum(radius_HW, 1)[..., None]
    colour_HW3 = colour_of_flow(flow_HW2, 1.0 + 1e-6)
    return np.concatenate([colour_HW3, (255 * edge_HW[..., None]).astype(np.uint8)], axis=-1)
