"""What a GPU would be given, counted without one: operators, copies, and whatever makes the host wait.

Everything runs on torch's device "meta", where tensors have shapes and no values. What asks for a value there
would wait on a GPU, and fails: ``item``, ``nonzero``, an index by a mask. Copies are counted by
:class:`Counting`.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
#: operators that compute nothing: another look at the same memory, or memory without values
_FREE = {
    *("view", "_unsafe_view", "reshape", "expand", "permute", "transpose", "t", "squeeze", "unsqueeze"),
    *("select", "slice", "split", "split_with_sizes", "unbind", "diagonal", "detach", "alias", "as_strided"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "lift_fresh", "unfold"),
    *("_reshape_alias", "is_pinned", "result_type", "device", "sym_size", "_local_scalar_dense", "chunk"),
}


class _Calls(TorchFunctionMode):
    """Notes the calls that copy from the host below what a dispatch mode sees: constants and lists of places.

    Args:
        waits: where they are noted.
    """

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in ("tensor", "as_tensor", "new_tensor"):
            data = args[1] if name == "new_tensor" else args[0]
            if not isinstance(data, torch.Tensor) and result.device.type == "meta":
                self.waits.append(f"{name} of {data}")
        if name in ("__getitem__", "__setitem__") and args[0].device.type == "meta":
            places = args[1] if isinstance(args[1], tuple) else (args[1],)
            self.waits += [f"a list as index: {place}" for place in places if isinstance(place, list)]
        return result


class Counting(TorchDispatchMode):
    """Counts what is launched on the device "meta" while it is active.

    Attributes:
        operators: those that compute, by name.
        sent: copies from the host that do not block.
        fetched: copies to the host that do not block.
        waits: descriptions of copies that block, in either direction.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.sent = self.fetched = 0
        self.waits: list[str] = []
        self._calls = _Calls(self.waits)

    def __enter__(self) -> Counting:
        self._calls.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:  # type: ignore[override]
        super().__exit__(*error)
        self._calls.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [a for a in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
        there = [tensor.device.type == "meta" for tensor in tensors]
        if name in ("_to_copy", "copy_", "to") and tensors:
            return self._copy(func, name, args, kwargs)
        if len(set(there)) > 1 and any(t.dim() for t, on in zip(tensors, there, strict=True) if not on):
            self.waits.append(f"{name} with a tensor of the host")
        masks = [x for x in args[1] if x is not None and x.dtype is torch.bool] if "index_put" in name else []
        if masks and args[0].device.type == "meta":
            self.waits.append("a mask as index")
        if name.startswith("_fused"):  # that of SGD has no form for tensors without values
            self.operators[name] += 1
            return None
        result = func(*args, **kwargs)
        made = [x for x in torch.utils._pytree.tree_leaves(result) if isinstance(x, torch.Tensor)]
        if (any(there) or any(x.device.type == "meta" for x in made)) and name not in _FREE:
            self.operators[name] += 1
        return result

    def _copy(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        source = args[1] if name == "copy_" else args[0]
        target = args[0].device if name == "copy_" else torch.device(kwargs.get("device") or source.device)
        late = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
        if source.device.type == target.type:
            self.operators[name] += target.type == "meta"
            return func(*args, **kwargs)
        if not late:
            self.waits.append(f"{name} {tuple(source.shape)} from {source.device} to {target}")
        elif target.type == "meta":
            self.sent += 1
        else:
            self.fetched += 1
        if target.type == "meta":
            return func(*args, **kwargs)
        return torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)  # there are no values


class Collectives(TorchDispatchMode):
    """Counts the calls to all processes while it is active, those of DDP as well.

    Attributes:
        calls: by the name of torch's operator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def let_meta_pass_for_a_gpu(patch: pytest.MonkeyPatch) -> None:
    """Mixed precision and optimisers take the ways that they take on a GPU."""
    real = torch.autocast

    def autocast(device: str, *args: Any, **kwargs: Any) -> Any:
        return contextlib.nullcontext() if device == "meta" else real(device, *args, **kwargs)

    patch.setattr(torch, "autocast", autocast)
    optimiser, clipping = sys.modules["torch.optim.optimizer"], sys.modules["torch.nn.utils.clip_grad"]
    patch.setattr(optimiser, "_get_fused_kernels_supported_devices", lambda: ["cuda", "meta"])
    patch.setattr(clipping, "_has_foreach_support", lambda *_: True)
    patch.setattr(clipping, "_device_has_foreach_support", lambda *_: True)
