"""Networks from TensorFlow Lite files in torch: whole batches at once, on any device.

LiteRT runs the same files on a CPU, one picture at a time. The operators here are those of MoveNet MultiPose
and of MediaPipe's selfie segmentation, with float32 or float16 weights; others raise an error that names
them. The format is https://github.com/google-ai-edge/LiteRT/blob/main/tflite/schema/schema.fbs.

>>> network = TfliteModule(path).to("cuda")
>>> (mask_BHW1,) = network(pictures_BHW3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cocon.errors import AssetError
from cocon.installation import failed_import, how_to_install
from cocon.loading import reading
from view_extractors.networks.tflite_operators import OPERATORS, Operator, Run, check

#: number of a type of elements in the format -> numpy's
_TYPES = {0: np.float32, 1: np.float16, 2: np.int32}


class TfliteModule(nn.Module):
    """A network from a file.

    Tensors are (B, H, W, C), as in the file, where B is 1 but stands for any number. Height and width are
    free where the file leaves them open.

    Args:
        path: the file.
        outputs: names of the requested tensors, up to the first semicolon. Operators that only other tensors
            need are left out, unsupported ones included. Empty: the file's own outputs.

    Raises:
        AssetError: the file has another format, lacks a requested tensor, or needs an unsupported operator;
            or ai-edge-litert, which reads the format, is not installed.
    """

    def __init__(self, path: Path, outputs: Sequence[str] = ()) -> None:
        super().__init__()
        graph, operators = _read(path)
        self._input = int(graph.inputs[0])
        self._outputs = (
            _indices(path, graph, operators, outputs) if outputs else [int(i) for i in graph.outputs]
        )
        self._steps: list[_Step] = []
        self._tensors: set[int] = set()
        self._sizes: dict[int, np.ndarray] = {}
        for operator in _needed(operators, self._outputs):
            self._add(path, operator)
        last = {i: n for n, step in enumerate(self._steps) for i in step.inputs}
        self._free = [[i for i, at in last.items() if at == n] for n in range(len(self._steps))]

    def _add(self, path: Path, operator: Operator) -> None:
        try:
            if operator.name == "DEQUANTIZE":
                (index,) = operator.inputs
                check(index in operator.constants, "tensors that are no constants")
                check(operator.constants[index].dtype == np.float16, "quantised weights")
                self._keep(operator.output, operator.constants[index].astype(np.float32))
                return
            check(operator.name in OPERATORS, "")
            run = OPERATORS[operator.name](operator)
        except NotImplementedError as error:
            raise AssetError(
                f"{path} needs the operator {operator.name}{error}, which is not supported",
                "run it with LiteRT, on a CPU",
            ) from error
        for index, array in operator.constants.items():
            self._keep(index, array)
        self._steps.append(_Step(run, operator.inputs, operator.output))

    def _keep(self, index: int, array: np.ndarray) -> None:
        """Constants of the computation move with the network to its device; sizes stay on the CPU."""
        if array.dtype != np.float32:
            self._sizes[index] = array
        elif index not in self._tensors:
            self._tensors.add(index)
            self.register_buffer(f"constant_{index}", torch.from_numpy(array.copy()))

    @torch.inference_mode()
    def forward(self, x_BHWC: torch.Tensor) -> list[torch.Tensor]:
        """The outputs for a batch of inputs, which are of the type and the range that the file expects."""
        values: dict[int, Any] = {i: getattr(self, f"constant_{i}") for i in self._tensors}
        values |= {**self._sizes, self._input: x_BHWC, -1: None}
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            for step, free in zip(self._steps, self._free, strict=True):
                values[step.output] = step.run(*(values[i] for i in step.inputs))
                for index in set(free) - set(self._outputs) - {-1}:
                    del values[index]
        return [values[i] for i in self._outputs]


@dataclass(frozen=True)
class _Step:
    """An operator that can be run; its inputs are tensors by number, -1 for none."""

    run: Run
    inputs: tuple[int, ...]
    output: int


def _read(path: Path) -> tuple[Any, list[Operator]]:
    """The graph and its operators, in an order in which they can run."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        install = how_to_install("ai_edge_litert")
        raise AssetError(*failed_import(f"reading {path.name}", "ai-edge-litert", error, install)) from error
    again = "delete it, and run it again"
    with reading(path, "TensorFlow Lite file", AssetError, missing=again, damaged=again):
        content = path.read_bytes()
        if content[4:8] != b"TFL3":
            raise AssetError(f"{path} is not a TensorFlow Lite file", again)
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        graph = model.subgraphs[0]
        return graph, [_operator(schema, model, graph, operator) for operator in graph.operators]


def _operator(schema: Any, model: Any, graph: Any, operator: Any) -> Operator:
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files have the number in the one field, new ones in the other or in both.
    name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
    inputs = tuple(operator.inputs.tolist())
    arrays = {i: _constant(graph.tensors[i], model.buffers) for i in inputs if i >= 0}
    return Operator(
        name=code.customCode.decode() if name == "CUSTOM" else name,
        options=operator.builtinOptions,
        custom=b"" if operator.customOptions is None else bytes(operator.customOptions),
        inputs=inputs,
        output=int(operator.outputs[0]),
        output_type=graph.tensors[operator.outputs[0]].type,
        constants={i: array for i, array in arrays.items() if array is not None},
    )


def _constant(tensor: Any, buffers: Sequence[Any]) -> np.ndarray | None:
    data = buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type not in _TYPES or tensor.sparsity is not None:
        return None
    return np.frombuffer(bytes(data), _TYPES[tensor.type]).reshape(
        () if tensor.shape is None else tensor.shape
    )


def _indices(path: Path, graph: Any, operators: Sequence[Operator], names: Sequence[str]) -> list[int]:
    """Numbers of tensors by the first of their names, which their constants may share."""
    made = [operator.output for operator in operators if operator.name != "DEQUANTIZE"]
    known = {graph.tensors[i].name.decode().partition(";")[0]: i for i in made}
    missing = [name for name in names if name not in known]
    if missing:
        raise AssetError(f"{path} has no tensor {missing[0]}", "it is a different network")
    return [known[name] for name in names]


def _needed(operators: Sequence[Operator], outputs: Sequence[int]) -> list[Operator]:
    """The operators that the outputs depend on."""
    wanted, found = set(outputs), []
    for operator in reversed(operators):
        if operator.output in wanted:
            wanted.update(operator.inputs)
            found.append(operator)
    return found[::-1]
