"""Operators against closed forms and LiteRT on small files, and the real networks against LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from cocon.errors import AssetError
from tests.view_extractors.networks.published import fetched, real_frames, with_litert
from view_extractors.networks.tflite import TfliteModule
from view_extractors.networks.tflite_operators import OPERATORS, Operator

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
RELU, RELU6 = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.RELU6
TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9}


class File:
    """A file of TensorFlow Lite in the making; tensor 0 is the input."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "float32") -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.subgraphs, self.model.operatorCodes = [self.graph], []
        self.model.buffers = [schema.BufferT()]
        self.tensor(shape, dtype)

    def tensor(self, shape: tuple[int, ...], dtype: str = "float32", name: str = "") -> int:
        tensor = schema.TensorT()
        tensor.name = name or f"tensor_{len(self.graph.tensors)}"
        tensor.shape, tensor.type, tensor.buffer = list(shape), TYPES[dtype], 0
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, array: np.ndarray) -> int:
        index = self.tensor(array.shape, str(array.dtype))
        buffer = schema.BufferT()
        buffer.data = list(array.tobytes())
        self.model.buffers.append(buffer)
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def add(
        self,
        name: str,
        inputs: list[int],
        shape: tuple[int, ...],
        kind: str = "",
        label: str = "",
        dtype: str = "float32",
        **options: Any,
    ) -> int:
        """An operator with options of a kind, and its output."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [self.tensor(shape, dtype, label)]
        if kind:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return operator.outputs[0]

    def write(self, path: Path, *outputs: int) -> Path:
        self.graph.inputs, self.graph.outputs = [0], list(outputs)
        builder = flatbuffers.Builder(0)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())
        return path


def in_torch(path: Path, x: np.ndarray, *outputs: str) -> np.ndarray:
    (y,) = TfliteModule(path, outputs)(torch.from_numpy(x))
    return y.numpy()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [([1, 2, 4, 8], [7, 12]), ([1, 2, 4, 8, 16], [3, 14, 24])],
    ids=["even: all after", "odd: both sides"],
)
def test_same_padding_with_stride_2(tmp_path, pixels, expected):
    file = File((1, 1, len(pixels), 1))
    weights = file.constant(np.ones((1, 1, 3, 1), np.float32))
    bias = file.constant(np.zeros(1, np.float32))
    strides = {"strideH": 2, "strideW": 2}
    made = file.add(
        "CONV_2D", [0, weights, bias], (1, 1, len(expected), 1), "Conv2DOptions", padding=SAME, **strides
    )
    row = np.float32(pixels).reshape(1, 1, -1, 1)
    assert in_torch(file.write(tmp_path / "a.tflite", made), row).ravel().tolist() == expected


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(1, 1, 1), (2, 1, 1), (2, 2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 2)]
)
@pytest.mark.parametrize("size", [(9, 12), (8, 7)])
def test_convolutions_are_those_of_litert(tmp_path, depthwise, padding, stride, kernel, dilation, size):
    file = File((1, *size, 4))
    weights = noise(1, kernel, kernel, 8) if depthwise else noise(5, kernel, kernel, 4)
    channels = weights.shape[-1] if depthwise else weights.shape[0]
    reach = (kernel - 1) * dilation
    sides = [-(-(s if padding == SAME else s - reach) // stride) for s in size]
    options = {"padding": padding, "strideH": stride, "strideW": stride, "fusedActivationFunction": RELU6}
    options |= {"dilationHFactor": dilation, "dilationWFactor": dilation}
    if depthwise:
        options["depthMultiplier"] = 2
    made = file.add(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [0, file.constant(weights), file.constant(noise(channels))],
        (1, *sides, channels),
        "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
        **options,
    )
    path, x = file.write(tmp_path / "a.tflite", made), noise(3, *size, 4)
    (expected,) = with_litert(path, x)
    assert 0 < (expected == 0).mean() < 1
    np.testing.assert_allclose(in_torch(path, x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"halfPixelCenters": True}, [0, 0.25, 0.75, 1]),
        ({"alignCorners": True}, [0, 1 / 3, 2 / 3, 1]),
    ],
)
def test_bilinear_scaling(tmp_path, options, expected):
    file = File((1, 1, 2, 1))
    size = file.constant(np.int32([1, 4]))
    made = file.add("RESIZE_BILINEAR", [0, size], (1, 1, 4, 1), "ResizeBilinearOptions", **options)
    row = np.float32([0, 1]).reshape(1, 1, 2, 1)
    path = file.write(tmp_path / "a.tflite", made)
    np.testing.assert_allclose(in_torch(path, row).ravel(), expected, atol=1e-6)
    np.testing.assert_allclose(with_litert(path, row)[0].ravel(), expected, atol=1e-6)


def test_sizes_that_the_network_computes_are_those_of_its_input(tmp_path):
    """Doubling, as MoveNet does it: shape, a part of it, times two."""
    file = File((1, 2, 3, 1))
    shape = file.add("SHAPE", [0], (4,), "ShapeOptions", dtype="int32", outType=TYPES["int32"])
    bounds = [file.constant(np.int32([i])) for i in (1, 3, 1)]
    part = file.add("STRIDED_SLICE", [shape, *bounds], (2,), "StridedSliceOptions", dtype="int32")
    double = file.add("MUL", [part, file.constant(np.int32([2, 2]))], (2,), "MulOptions", dtype="int32")
    made = file.add(
        "RESIZE_BILINEAR", [0, double], (1, 4, 6, 1), "ResizeBilinearOptions", halfPixelCenters=True
    )
    path, x = file.write(tmp_path / "a.tflite", made), noise(2, 5, 4, 1)
    assert in_torch(path, x).shape == (2, 10, 8, 1)
    np.testing.assert_allclose(in_torch(path, x), with_litert(path, x)[0], atol=1e-6)


@pytest.mark.parametrize("name", ["RELU", "LOGISTIC", "HARD_SWISH"])
def test_functions_of_one_number(tmp_path, name):
    file = File((1, 1, 5, 1))
    path = file.write(tmp_path / "a.tflite", file.add(name, [0], (1, 1, 5, 1)))
    x = np.float32([-4, -1.5, 0, 1.5, 4]).reshape(1, 1, 5, 1)
    expected = {
        "RELU": x.clip(0),
        "LOGISTIC": 1 / (1 + np.exp(-x)),
        "HARD_SWISH": x * (x + 3).clip(0, 6) / 6,
    }
    np.testing.assert_allclose(in_torch(path, x), expected[name], atol=1e-6)


def test_sums_products_and_means(tmp_path):
    file = File((1, 4, 6, 3))
    doubled = file.add("MUL", [0, file.constant(np.float32(2))], (1, 4, 6, 3), "MulOptions")
    less = file.add("SUB", [doubled, file.constant(np.float32([0, 1, 2]))], (1, 4, 6, 3), "SubOptions")
    more = file.add("ADD", [less, 0], (1, 4, 6, 3), "AddOptions", fusedActivationFunction=RELU)
    pool = {"filterHeight": 2, "filterWidth": 3, "strideH": 2, "strideW": 3, "padding": VALID}
    pooled = file.add("AVERAGE_POOL_2D", [more], (1, 2, 2, 3), "Pool2DOptions", **pool)
    path, x = file.write(tmp_path / "a.tflite", more, pooled), noise(2, 4, 6, 3)
    expected = (3 * x - np.float32([0, 1, 2])).clip(0)
    sums, means = TfliteModule(path)(torch.from_numpy(x))
    np.testing.assert_allclose(sums, expected, atol=1e-6)
    np.testing.assert_allclose(means[1, 1, 0], expected[1, 2:, :3].mean(axis=(0, 1)), atol=1e-6)


@pytest.mark.parametrize(("kernel", "first", "last"), [(2, 0, 0), (3, 0, 1), (4, 1, 1)])
def test_transposed_convolution_spreads_every_pixel(kernel, first, last):
    """``first`` and ``last``: what SAME cuts off the spread kernels."""
    options = np.int32([1, 2, 2]).tobytes()
    run = OPERATORS["Convolution2DTransposeBias"](Operator("", None, options, (), 0, 0, {}))
    x, weights, bias = noise(2, 3, 5, 4), noise(2, kernel, kernel, 4), noise(2)
    whole = np.zeros((2, 2 * 3 - 2 + kernel, 2 * 5 - 2 + kernel, 2), np.float32)
    for row in range(3):
        for column in range(5):
            spread = np.einsum("bi,oyxi->byxo", x[:, row, column], weights)
            whole[:, 2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel] += spread
    expected = whole[:, first : whole.shape[1] - last, first : whole.shape[2] - last] + bias
    found = run(*map(torch.from_numpy, (x, weights, bias)))
    assert found.shape == (2, 6, 10, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def halved(file: File, kind: str = "float16") -> int:
    """The input times weights in half precision, in a tensor named ``twice;more``."""
    stored = file.constant(np.full((1, 1, 1, 3), 2).astype(kind))
    weights = file.add("DEQUANTIZE", [stored], (1, 1, 1, 3))
    return file.add("MUL", [0, weights], (1, 2, 2, 3), "MulOptions", label="twice;more")


def test_weights_in_half_precision_and_a_tensor_by_name(tmp_path):
    file = File((1, 2, 2, 3), "float32")
    made = halved(file)
    path = file.write(tmp_path / "a.tflite", file.add("RELU", [made], (1, 2, 2, 3)), made)
    x = noise(2, 2, 2, 3)
    np.testing.assert_array_equal(in_torch(path, x, "twice"), 2 * x)
    relu, twice = TfliteModule(path)(torch.from_numpy(x))
    np.testing.assert_array_equal(relu, (2 * x).clip(0))
    np.testing.assert_array_equal(twice, 2 * x)
    with pytest.raises(AssetError, match="has no tensor thrice"):
        TfliteModule(path, ["twice", "thrice"])


def test_bytes_become_numbers(tmp_path):
    file = File((1, 2, 2, 3), "uint8")
    path = file.write(tmp_path / "a.tflite", file.add("CAST", [0], (1, 2, 2, 3)))
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3) + 240
    assert in_torch(path, x).dtype == np.float32
    np.testing.assert_array_equal(in_torch(path, x), x)


def test_an_unknown_operator_is_named_where_it_is_needed(tmp_path):
    file = File((1, 2, 2, 3))
    made = halved(file)
    path = file.write(tmp_path / "a.tflite", file.add("COS", [made], (1, 2, 2, 3)))
    with pytest.raises(AssetError, match="the operator COS, which is not supported"):
        TfliteModule(path)
    assert in_torch(path, noise(1, 2, 2, 3), "twice").shape == (1, 2, 2, 3)


def test_unknown_variants_of_known_operators_are_refused(tmp_path):
    file = File((1, 2, 2, 3))
    path = file.write(tmp_path / "a.tflite", halved(file, "int8"))
    with pytest.raises(AssetError, match="DEQUANTIZE with"):
        TfliteModule(path)
    file = File((1, 2, 2, 3))
    size = file.constant(np.int32([4, 4]))
    made = file.add("RESIZE_BILINEAR", [0, size], (1, 4, 4, 3), "ResizeBilinearOptions")
    with pytest.raises(AssetError, match="RESIZE_BILINEAR with pixels that lie on"):
        TfliteModule(file.write(tmp_path / "a.tflite", made))
    file = File((1, 2, 2, 3))
    tanh = schema.ActivationFunctionType.TANH
    made = file.add("ADD", [0, 0], (1, 2, 2, 3), "AddOptions", fusedActivationFunction=tanh)
    with pytest.raises(AssetError, match="ADD with the activation 4"):
        TfliteModule(file.write(tmp_path / "a.tflite", made))


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(AssetError, match="is not a TensorFlow Lite file"):
        TfliteModule(path)
    path.write_bytes(b"\x10\0\0\0TFL3\xff\xff\xff\xff")
    with pytest.raises(AssetError, match="is not a TensorFlow Lite file"):
        TfliteModule(path)


@pytest.fixture(scope="module")
def selfie() -> Path:
    """MediaPipe's selfie segmentation, which takes pictures of 256 x 256 pixels."""
    return fetched("selfie")


def test_selfie_segmentation_is_that_of_litert(selfie):
    x = np.random.default_rng(0).random((3, 256, 256, 3), np.float32)
    found, (expected,) = in_torch(selfie, x), with_litert(selfie, x)
    assert found.shape == (3, 256, 256, 1)
    # Noise shows nobody; so small probabilities say something about the logits.
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-30)


def test_selfie_segmentation_of_real_frames(selfie, shared_data):
    x = real_frames(shared_data, 3, 256, 256).astype(np.float32) / 255
    found, (expected,) = in_torch(selfie, x), with_litert(selfie, x)
    assert expected.max() > 0.9
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_batch_equals_its_pictures_one_by_one(selfie):
    x = np.random.default_rng(0).random((3, 256, 256, 3), np.float32)
    single = np.concatenate([in_torch(selfie, x[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(in_torch(selfie, x), single, rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_a_cpu_gives(selfie):
    x = torch.rand((3, 256, 256, 3), generator=torch.Generator().manual_seed(0))
    network = TfliteModule(selfie)
    (expected,) = network(x)
    (found,) = network.cuda()(x.cuda())
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected, atol=1e-3, rtol=0)
