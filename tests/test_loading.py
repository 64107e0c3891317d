from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cocon.errors import CheckpointError, DatasetError
from cocon.loading import (
    CHECKSUM,
    as_type,
    check_finite,
    checksum_of_arrays,
    number,
    parse_object,
    read_npz,
    reading,
    require,
)


def fails(path: Path, fault: BaseException) -> DatasetError:
    with (
        pytest.raises(DatasetError) as error,
        reading(path, "file of scores", DatasetError, missing="make it", damaged="delete it"),
    ):
        raise fault
    return error.value


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        (FileNotFoundError(2, "No such file"), "there is no file of scores a.npz", "make it"),
        (PermissionError(13, "Permission denied"), "a.npz cannot be read: Permission denied", "you may read"),
        (IsADirectoryError(21, "Is a directory"), "a.npz cannot be read: Is a directory", "you may read"),
        (OSError("truncated file"), "a.npz is not a file of scores (truncated file)", "delete it"),
        (KeyError("ids"), "a.npz is not a file of scores (it has no entry 'ids')", "delete it"),
        (MemoryError(), "more memory than there is", "delete it"),
        (RecursionError("maximum ..."), "nested too deeply", "delete it"),
        (pickle.UnpicklingError("two\nlines"), "(two lines)", "delete it"),
        (AssertionError(), "(AssertionError)", "delete it"),
        (ValueError("x" * 1000), "(" + "x" * 200 + ")", "delete it"),
    ],
)
def test_whatever_a_library_raises_is_a_sentence(fault: Exception, message: str, hint: str) -> None:
    error = fails(Path("a.npz"), fault)
    assert message in error.message
    assert hint in error.hint
    assert "\n" not in error.message
    assert error.__cause__ is fault


def test_errors_of_the_project_and_interrupts_pass() -> None:
    with (
        pytest.raises(CheckpointError, match="mine"),
        reading(Path("a"), "b", DatasetError, missing="", damaged=""),
    ):
        raise CheckpointError("mine")
    with pytest.raises(KeyboardInterrupt), reading(Path("a"), "b", DatasetError, missing="", damaged=""):
        raise KeyboardInterrupt


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}'])
def test_text_that_is_no_object(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|JSON object|finite"):
        parse_object(text)


def test_deep_nesting_is_noticed() -> None:
    with pytest.raises(RecursionError):
        parse_object('{"a": ' + "[" * 200_000)


@pytest.mark.parametrize("value", [True, "1", None, 10**400, float("nan"), float("inf"), -0.1, 1.1])
def test_numbers_out_of_range(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number from 0 to 1"):
        number(value, 0, 1)


def test_numbers() -> None:
    assert number(1, 0, 1) == 1
    assert number(-3.5) == -3.5
    with pytest.raises(ValueError, match="not a number"):
        number(10**400)


def test_types() -> None:
    assert as_type(dict[str, int], {"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match="valid integer"):
        as_type(dict[str, int], {"a": "x"})


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_arrays_and_their_checksum(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "ids": np.array(["x", "ü"]), "none": np.zeros((0, 3))}
    path = npz(tmp_path / "a.npz", **arrays, sha256=np.array(checksum_of_arrays(arrays)))
    read = read_npz(path)
    assert read.keys() == {*arrays, CHECKSUM}
    np.testing.assert_array_equal(read["a"], arrays["a"])
    assert checksum_of_arrays({**arrays, "a": arrays["a"].T}) != checksum_of_arrays(arrays)
    assert checksum_of_arrays({**arrays, "a": arrays["a"].astype("f4")}) != checksum_of_arrays(arrays)
    npz(path, **{**arrays, "a": arrays["a"] + 1}, sha256=read[CHECKSUM])
    with pytest.raises(ValueError, match="checksum is wrong"):
        read_npz(path)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = npz(tmp_path / "a.npz", a=np.array([Evil()], dtype=object))
    with pytest.raises(ValueError, match="'a' holds objects"):
        read_npz(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "(2, 9)", "(1,)"])
def test_claims_about_sizes_are_compared_before_memory_is_taken(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(80)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(ValueError, match="another size than it claims"):
        read_npz(tmp_path / "a.npz")


def test_shapes_and_kinds() -> None:
    array = np.zeros((2, 3), np.float32)
    assert require(array, "x", "f", (None, 3)) is array
    for kinds, shape in (("iu", (2, 3)), ("f", (2, 4)), ("f", (2,))):
        with pytest.raises(ValueError, match=r"'x' is float32 \(2, 3\)"):
            require(array, "x", kinds, shape)


def test_the_first_video_that_is_not_finite_is_named() -> None:
    x = np.ones((3, 2))
    check_finite("the features", ["a", "b", "c"], x, "")
    x[1, 1] = np.inf
    with pytest.raises(DatasetError, match="the features are not finite numbers for 1 of 3 videos, 'b'"):
        check_finite("the features", ["a", "b", "c"], x, "look")


def test_a_document_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"a": 1}))
    from cocon.loading import read_object

    assert read_object(tmp_path / "a.json") == {"a": 1}
