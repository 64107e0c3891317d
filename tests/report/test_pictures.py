import base64

import cv2
import numpy as np

from cocon.report.pictures import (
    PERSONS,
    draw_skeleton,
    fit,
    grey_to_rgb,
    jpeg_uri,
    numbers_of_persons,
    png_uri,
)

BLACK = np.zeros((100, 100, 3), np.uint8)


def person(**joints: tuple[float, float, float]) -> np.ndarray:
    figure = np.zeros((1, 17, 3), np.float32)
    for name, values in joints.items():
        figure[0, int(name[1:])] = values
    return figure


def test_left_and_right_limbs_differ() -> None:
    left_arm = {"j5": (0.2, 0.2, 0.9), "j7": (0.2, 0.8, 0.9)}
    right_arm = {"j6": (0.8, 0.2, 0.9), "j8": (0.8, 0.8, 0.9)}
    drawn = draw_skeleton(BLACK, person(**left_arm, **right_arm))
    left, right = drawn[50, 19:21].max(axis=0), drawn[50, 79:81].max(axis=0)
    assert left[2] > left[0]
    assert right[0] > right[2]
    trunk = drawn[20, 50]
    assert trunk.min() > 200
    assert not BLACK.any()


def test_persons_have_colours_of_their_own_with_a_lighter_left() -> None:
    arms = {"j5": (0.2, 0.1, 1), "j7": (0.2, 0.4, 1), "j6": (0.8, 0.1, 1), "j8": (0.8, 0.4, 1)}
    lower = person(**{name: (x, y + 0.5, 1) for name, (x, y, _) in arms.items()})
    drawn = draw_skeleton(BLACK, np.concatenate([person(**arms), lower]), np.array([0, 1]))
    for row, colour in ((25, PERSONS[0]), (75, PERSONS[1])):
        assert drawn[row, 80].tolist() == list(colour)
        assert drawn[row, 20].tolist() == [(channel + 255) // 2 for channel in colour]
    again = draw_skeleton(BLACK, person(**arms), np.array([len(PERSONS) + 2]))
    assert again[25, 80].tolist() == list(PERSONS[2]), "those beyond begin again with the first"


def test_who_stays_keeps_the_colour_when_the_other_leaves() -> None:
    """Wherever a person stands among those of the frame."""
    first = person(j5=(0.1, 0.1, 1), j16=(0.3, 0.9, 1), j0=(0.2, 0.1, 1))
    first[first == 0] = 0.2
    other = first + np.array([0.5, 0, 0])
    nobody = np.zeros((0, 17, 3))
    both = np.concatenate([first, other])
    numbers = numbers_of_persons([both, both[::-1], other, nobody, first])
    assert [found.tolist() for found in numbers or []] == [[0, 1], [1, 0], [1], [], [0]]
    assert numbers_of_persons([first, nobody]) is None
    assert numbers_of_persons([]) is None


def test_uncertain_joints_are_left_out() -> None:
    drawn = draw_skeleton(BLACK, person(j5=(0.2, 0.2, 0.9), j7=(0.2, 0.8, 0.1)))
    assert drawn[20, 20].any()
    assert not drawn[40:].any()


def test_nobody_and_somebody_outside_the_picture() -> None:
    assert not draw_skeleton(BLACK, np.zeros((0, 17, 3))).any()
    assert not draw_skeleton(BLACK, person(j5=(-3, -3, 0.9), j7=(-4, -3, 0.9))).any()


def test_keypoints_scale_with_the_picture() -> None:
    wide = np.zeros((50, 200, 3), np.uint8)
    rows, columns, _ = np.nonzero(draw_skeleton(wide, person(j0=(0.75, 0.5, 1.0))))
    assert abs(rows.mean() - 24.5) < 1
    assert abs(columns.mean() - 149.5) < 1


def test_fit_keeps_proportions_and_channels() -> None:
    assert fit(np.zeros((30, 40, 3), np.uint8), 60).shape == (60, 80, 3)
    assert fit(np.zeros((30, 40, 1), np.uint8), 15).shape == (15, 20, 1)


def test_uris_decode_to_the_picture() -> None:
    image = np.zeros((16, 24, 3), np.uint8)
    image[...] = (200, 60, 20)
    kind, data = jpeg_uri(image, 95).split(",")
    assert kind == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_allclose(decoded.astype(int), image.astype(int), atol=4)
    layered = np.concatenate([image, np.full((16, 24, 1), 7, np.uint8)], axis=2)
    data = png_uri(layered).split(",")[1]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[..., [2, 1, 0, 3]], layered)


def test_grey_becomes_three_channels() -> None:
    np.testing.assert_array_equal(grey_to_rgb(np.array([[[9]]], np.uint8)), [[[9, 9, 9]]])
