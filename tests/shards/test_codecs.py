"""The codecs alone: what comes back, how near, and what damaged bytes do."""

from __future__ import annotations

import cv2
import lz4.block
import numpy as np
import pytest

from cocon.shards import dct, delta
from cocon.shards.codecs import decode, decode_into, encode, encode_as

rng = np.random.default_rng(0)


def natural(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Noise of all scales, the coarser the stronger, as in photographs."""
    picture = np.zeros((height, width, channels), np.float32)
    for octave in range(6):
        noise = rng.normal(size=(max(1, height >> octave), max(1, width >> octave), channels))
        noise += 2 * noise.mean(axis=2, keepdims=True)
        # Of a few pixels, OpenCV's cubic interpolation gives NaN now and then: memory that nobody has set.
        smooth = cv2.INTER_CUBIC if min(noise.shape[:2]) >= 4 else cv2.INTER_LINEAR
        scaled = cv2.resize(noise.astype(np.float32), (width, height), interpolation=smooth)
        picture += 2**octave * scaled.reshape(height, width, channels)
    return (128 + 50 * picture / max(picture.std(), 1)).clip(0, 255).astype(np.uint8)


SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (15, 17), (16, 16), (17, 33), (75, 100), (150, 267)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2, 3, 17])
def test_delta_is_lossless(size: tuple[int, int], channels: int) -> None:
    smooth, noise = natural(*size, channels), rng.integers(0, 256, (*size, channels), np.uint8)
    for picture in (smooth, noise, np.zeros_like(noise)):
        np.testing.assert_array_equal(decode(delta.encode(picture), channels), picture)


def test_delta_packs_what_is_smooth() -> None:
    ramp = np.linspace(100, 156, 200).astype(np.uint8)[None, :, None].repeat(150, 0).repeat(2, 2)
    assert len(delta.encode(ramp)) < ramp.size / 50


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize("quality", [30, 75, 90, 98])
@pytest.mark.parametrize("size", [(150, 200), (151, 199), (31, 50)])
def test_dct_shows_what_jpeg_of_the_quality_shows(size: tuple[int, int], quality: int) -> None:
    picture = natural(*size)
    ours = decode(dct.encode(picture, quality), 3)
    jpeg = decode(encode(picture, quality), 3)
    assert psnr(ours, picture) > psnr(jpeg, picture) - 0.1
    assert np.abs(ours.astype(int) - jpeg).mean() < 1.5, "rounding, and no more"


@pytest.mark.parametrize("size", SIZES)
def test_dct_of_any_size(size: tuple[int, int]) -> None:
    flat = np.full((*size, 3), (200, 30, 90), np.uint8)
    np.testing.assert_allclose(decode(dct.encode(flat, 95), 3).astype(int), flat.astype(int), atol=4)


def test_dct_of_coefficients_that_need_more_than_eight_bits() -> None:
    squares = np.kron(rng.integers(0, 2, (8, 8)), np.ones((8, 8), int))[..., None].repeat(3, 2) * 255
    data = dct.encode(squares.astype(np.uint8), 100)
    assert int.from_bytes(data[8:12], "little") > 20
    np.testing.assert_allclose(decode(data, 3).astype(int), squares, atol=2)


def planes_of(data: bytes, height: int, width: int) -> list[np.ndarray]:
    """Y, Cb and Cr of a ``dct`` frame: its blocks transformed one by one in double precision, and rounded."""
    (luma, chroma), wide = dct.blocks_of(height, width), int.from_bytes(data[8:12], "little")
    blocks = luma + 2 * chroma
    values = np.frombuffer(lz4.block.decompress(data[12 + 6 * wide :], 64 * blocks), np.int8).astype(int)
    for index, value in np.frombuffer(data, [("index", "<u4"), ("value", "<i2")], wide, 12):
        values[index] = value
    frequency, sample = np.mgrid[:8, :8]
    basis = np.cos((2 * sample + 1) * frequency * np.pi / 16) * np.where(frequency > 0, 1 / 2, 1 / 8**0.5)
    planes, first = [], 0
    for count, per_row, step_K in (
        (luma, -(-width // 8), dct.quantisation(data[2])[0]),
        *[(chroma, -(-width // 16), dct.quantisation(data[2])[1])] * 2,
    ):
        values_KB = values.reshape(64, blocks)[:, first : first + count].astype(float)
        values_KB[0] = values_KB[0].cumsum()
        scaled_BVU = (values_KB * step_K[:, None].astype(float)).T.reshape(-1, 8, 8)
        pixels_BYX = np.floor(basis.T @ scaled_BVU @ basis + 128.5).clip(0, 255)
        tiles = pixels_BYX.reshape(-1, per_row, 8, 8).transpose(0, 2, 1, 3)
        planes.append(tiles.reshape(-1, 8 * per_row))
        first += count
    return planes


def doubled(half_YX: np.ndarray) -> np.ndarray:
    """Twice the size: 3/4 of the nearer sample and 1/4 of the farther one, in both directions."""
    for _ in range(2):
        padded = np.pad(half_YX, ((1, 1), (0, 0)), mode="edge")
        before, after = 3 * half_YX + padded[:-2], 3 * half_YX + padded[2:]
        half_YX = np.stack([before, after], 1).reshape(-1, half_YX.shape[1]).T / 4
    return half_YX


@pytest.mark.parametrize("size", [*SIZES, (150, 200), (300, 401)])
@pytest.mark.parametrize("quality", [40, 90])
def test_dct_is_its_blocks_one_by_one(size: tuple[int, int], quality: int) -> None:
    """Whatever is done side by side: all the differences come from rounding the colours."""
    height, width = size
    data = dct.encode(natural(*size), quality)
    y, u, v = planes_of(data, height, width)
    half = slice(None, (height + 1) // 2), slice(None, (width + 1) // 2)
    u, v = doubled(u[half] - 128)[:height, :width], doubled(v[half] - 128)[:height, :width]
    y = y[:height, :width]
    expected = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], 2).clip(0, 255)
    off = np.abs(decode(data, 3) - expected)
    assert off.mean() < 0.3
    assert np.quantile(off, 0.999) < 0.6
    assert off.max() < 2.5, "a sample of Cb or Cr that was rounded the other way"


def test_the_scale_of_qualities() -> None:
    """Annex K at 50, all ones at 100, and libjpeg's table of quality 90 for the first row."""
    assert dct.quantisation(50)[0, :8].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert (dct.quantisation(100) == 1).all()
    assert dct.quantisation(90)[0, :8].tolist() == [3, 2, 2, 3, 5, 8, 10, 12]
    with pytest.raises(ValueError, match="from 1 to 100"):
        dct.quantisation(0)


@pytest.mark.parametrize("codec", ["dct", "jpeg", "delta"])
def test_a_clip_is_its_frames(codec: str) -> None:
    pictures = np.stack([natural(40, 50) for _ in range(37)])
    frames = [encode_as(codec, picture, 90) for picture in pictures]  # type: ignore[arg-type]
    clip = np.empty_like(pictures)
    decode_into(frames, clip)
    for frame, picture in zip(frames, clip, strict=True):
        np.testing.assert_array_equal(decode(frame, 3), picture)


@pytest.mark.parametrize("codec", ["dct", "jpeg", "delta"])
def test_another_size_than_expected_is_refused(codec: str) -> None:
    frame = encode_as(codec, natural(40, 50), 90)  # type: ignore[arg-type]
    for shape in [(1, 50, 40, 3), (1, 40, 51, 3), (1, 20, 50, 3)]:
        with pytest.raises(ValueError, match="size"):
            decode_into([frame], np.empty(shape, np.uint8))
    other = encode_as(codec, natural(40, 48), 90)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        decode_into([frame, other], np.empty((2, 40, 50, 3), np.uint8))


@pytest.mark.parametrize("codec", ["dct", "delta"])
def test_damaged_bytes_give_an_error_or_a_picture(codec: str) -> None:
    """Whatever the bytes, nothing is read or written beyond the frame: the guard around it stays."""
    frame = encode_as(codec, natural(24, 40), 90)  # type: ignore[arg-type]
    guarded = np.full((3, 24, 40, 3), 77, np.uint8)
    errors = 0
    for _ in range(3000):
        data = bytearray(frame)
        for position in rng.integers(0, len(data), rng.integers(1, 4)):
            data[position] = rng.integers(256)
        cut = bytes(data[: rng.integers(len(data))]) if rng.random() < 0.3 else bytes(data)
        try:
            decode_into([cut], guarded[1:2])
        except ValueError:
            errors += 1
    assert (guarded[[0, 2]] == 77).all()
    assert errors > 500


def test_wrong_arrays_are_refused() -> None:
    for function in (
        delta.encode,
        lambda picture: dct.encode(picture, 90),
        lambda picture: encode(picture, 90),
    ):
        with pytest.raises(ValueError, match="expected uint8"):
            function(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="expected uint8"):
        dct.encode(np.zeros((4, 4, 2), np.uint8), 90)
    for data in (b"", b"\xff", b"D", b"Dxx", b"hello world", b"\xff\xd8\xff"):
        with pytest.raises(ValueError, match=r"not a|truncated"):
            decode(data, 3)
