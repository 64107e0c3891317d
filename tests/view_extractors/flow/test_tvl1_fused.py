"""The Triton kernels: in Triton's interpreter where there is no GPU, and compiled for one.

`make test-backends` has Triton; an environment with torch for CPUs alone has not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("triton", reason="Triton is not installed; make test-backends has it")

from cocon.config.schema import Tvl1PresetParameters
from tests.view_extractors.conftest import texture
from view_extractors.flow.tvl1 import batched, cpu, fused
from view_extractors.flow.tvl1.kernels import iteration, warping
from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu
from view_extractors.flow.tvl1.scheme import scheme_of

ON_GPU = torch.cuda.is_available()
pytestmark = [pytest.mark.backends, *([pytest.mark.gpu] if ON_GPU else [])]

DEVICE = torch.device("cuda" if ON_GPU else "cpu")
TINY = Tvl1PresetParameters(scales=2, scale_step=0.75, warps=1, iterations=3, epsilon=0)


def random_state(pairs: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flow and dual as they occur, and the data term (rho, nx, ny, bound), with flat spots."""
    rng = np.random.default_rng(4)
    flow = rng.normal(0, 1, (pairs, 2, height, width))
    dual = rng.uniform(-0.7, 0.7, (pairs, 4, height, width))
    dual[:, :2, :, -1] = 0
    dual[:, 2:, -1, :] = 0
    angle = rng.uniform(0, 2 * np.pi, (pairs, height, width))
    textured = rng.random((pairs, height, width)) > 0.1
    data = np.stack(
        [rng.normal(0, 3, angle.shape), np.cos(angle), np.sin(angle), 0.05 + rng.random(angle.shape)]
    )
    data = np.moveaxis(data * textured, 0, 1)
    return tuple(
        torch.from_numpy(np.ascontiguousarray(planes, np.float32)).to(DEVICE) for planes in (flow, dual, data)
    )


def pairs_of(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int32, device=DEVICE)


def close(found: torch.Tensor, wanted: torch.Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(found, wanted, atol=atol, rtol=1e-5)


# --------------------------------------------------------------------------------------- kernel by kernel


@pytest.mark.parametrize(
    ("size", "depth"),
    # a strip and a part; two strips, three parts; a strip that ends at the border's column; single lines
    [((3, 5), 4), ((14, 60), 4), ((5, 58), 3), ((4, 62), 1), ((1, 7), 2), ((6, 1), 4)],
)
@pytest.mark.parametrize("kept", [torch.float32, torch.float16])
def test_iterations_are_those_of_torch(size, depth, kept, monkeypatch):
    """But for the rounding of the new dual, from numbers that float16 holds."""
    monkeypatch.setattr(iteration, "_ROWS", 5)
    scheme = scheme_of(TINY)
    flow, *rest = random_state(2, *size)
    dual, data = (planes.to(kept) for planes in rest)
    before = flow + 0.1
    new_flow, new_dual = torch.full_like(flow, -99), torch.full_like(dual, -99)
    changes = flow.new_empty(1, iteration.programs(*size, depth))
    numbers = (scheme.theta, scheme.rate, depth)
    iteration.iterate(pairs_of(1), (flow, dual), data, (new_flow, new_dual), before, changes, *numbers)
    rho, normal, bound = data.float().split([1, 2, 1], dim=1)
    wanted_flow, wanted_dual = batched.iterate(flow, dual.float(), (rho, normal, bound), scheme, depth)
    close(new_flow[1], wanted_flow[1])
    close(new_dual[1].float(), wanted_dual[1], atol=1e-4 if kept == torch.float32 else 1e-3)
    assert (new_flow[0] == -99).all()
    assert (new_dual[0] == -99).all()
    assert new_dual.dtype == kept
    close(changes.sum(), (wanted_flow - before)[1].square().sum(), atol=1e-3)


@pytest.mark.parametrize("median", [True, False])
@pytest.mark.parametrize("size", [(6, 66), (5, 3), (1, 1)])
def test_linearisation_is_that_of_torch(size, median):
    pictures = torch.from_numpy(np.float32([texture(*size, seed=i) for i in range(4)]))[:, None].to(DEVICE)
    flow = 3 * random_state(3, *size)[0]
    first, second = pictures[:-1].contiguous(), batched.with_gradient(pictures[1:]).contiguous()
    filtered, data = torch.full_like(flow, -99), torch.full((3, 4, *size), -99.0, device=DEVICE)
    warping.linearise(pairs_of(2, 0), flow, filtered, first, second, data, 0.045, median)
    wanted = batched.median_filter(flow, 3 if median else 1)
    rho, normal, bound = batched.linearise(first, second, wanted, 0.045)
    for pair in (0, 2):
        np.testing.assert_array_equal(filtered[pair].cpu(), wanted[pair].cpu())
        # rho and the direction have no meaning where the gradient is rounding
        there = bound[pair] > 0.045 * 1e-2
        close(data[pair, :1][there], rho[pair][there], atol=2e-2)
        close(data[pair, 1:3][:, there[0]], normal[pair][:, there[0]], atol=1e-3)
        close(data[pair, 3:], bound[pair], atol=1e-4)
    assert (filtered[1] == -99).all()
    assert (data[1] == -99).all()


def test_median_network_sorts_every_order_of_zeros_and_ones():
    """By the zero-one principle it is the median of any nine values."""
    cases = (np.arange(512)[:, None] >> np.arange(9)) & 1
    plane = np.float32(np.hstack(list(cases.reshape(512, 3, 3))))
    flow = torch.from_numpy(np.stack([plane, plane])[None]).to(DEVICE)
    picture = torch.zeros_like(flow[:, :1])
    filtered = torch.empty_like(flow)
    data = torch.empty(1, 4, *plane.shape, device=DEVICE)
    planes = (picture, batched.with_gradient(picture), data)
    warping.linearise(pairs_of(0), flow, filtered, *planes, 0.045, True)
    np.testing.assert_array_equal(filtered[0, 0].cpu(), cv2.medianBlur(plane, 3))


def test_a_pair_moves_by_its_root_mean_square():
    changes = torch.zeros(3, 300, device=DEVICE)
    changes[0, 299], changes[1, 0], changes[2] = 24.9, 25.1, 1
    np.testing.assert_array_equal(iteration.still_moving(changes, 100, 0.5).cpu(), [0, 1, 1])


@pytest.mark.parametrize("iterations", [1, 4, 5, 15, 20, 31, 49])
def test_iterations_are_split_into_few_even_launches(iterations):
    depths = iteration.depths(iterations)
    assert sum(depths) == iterations
    assert len(depths) == -(-iterations // iteration.DEPTH)
    assert max(depths) - min(depths) <= 1
    assert max(depths) <= iteration.DEPTH


# --------------------------------------------------------------------------------------------- end to end


@pytest.fixture(params=[torch.float32, torch.float16], ids=["float32", "float16"])
def apart(request, monkeypatch) -> float:
    """px by which a pixel may differ from the CPU's, with dual and data kept in this precision."""
    monkeypatch.setattr(fused, "KEPT", request.param)
    return {torch.float32: 1e-3, torch.float16: 5e-3}[request.param]


def test_agrees_with_the_compiled_loops_and_batches_do_not_matter(apart):
    """The second pair is still: it leaves the batch after a warp."""
    picture = texture(25, 24, seed=2)
    pictures = [picture[:17, :19], picture[1:18, 2:21], picture[1:18, 2:21]]
    scheme = scheme_of(TINY.model_copy(update={"epsilon": 0.05, "warps": 2, "iterations": 2}))
    assert len(scheme.sizes(17, 19)) == 1
    found = Tvl1OnGpu(scheme, DEVICE, fused.refine).flows(pictures)
    np.testing.assert_allclose(found, np.stack(list(cpu.flows(np.stack(pictures), scheme))), atol=apart)
    assert np.abs(found[1]).max() == 0
    assert np.abs(found[0]).max() > 0.1
    single = Tvl1OnGpu(scheme, DEVICE, fused.refine).flows(pictures[:2])
    np.testing.assert_array_equal(single[0], found[0])


@pytest.mark.parametrize("median_filter", [1, 5])
def test_levels_and_other_filters(median_filter, apart):
    pictures = np.stack([texture(22, 24)[i : i + 21, 2 * i : 2 * i + 22] for i in range(2)])
    scheme = scheme_of(TINY.model_copy(update={"median_filter": median_filter}))
    assert len(scheme.sizes(21, 22)) == 2
    found = Tvl1OnGpu(scheme, DEVICE, fused.refine).flows(list(pictures))
    np.testing.assert_allclose(found, np.stack(list(cpu.flows(pictures, scheme))), atol=apart)


def test_where_there_is_no_gradient_nothing_overflows():
    """There the residual in px is larger than half precision holds, and the flow must not follow it."""
    first, second = np.full((9, 20), 255, np.uint8), np.zeros((9, 20), np.uint8)
    scheme = scheme_of(TINY)
    found = Tvl1OnGpu(scheme, DEVICE, fused.refine).flows([first, second])
    np.testing.assert_array_equal(found, 0)
    second[:, 10:] = 1
    found = Tvl1OnGpu(scheme, DEVICE, fused.refine).flows([first, second])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, np.stack(list(cpu.flows(np.stack([first, second]), scheme))), atol=5e-3)


# --------------------------------------------------------------------------------------------- what it costs


class Launches:
    """In a kernel's place: counts its launches, and lets every pair move."""

    def __init__(self, count: Counter, name: str) -> None:
        self._count, self._name = count, name

    def __getitem__(self, grid):
        return self._launch

    def _launch(self, *arguments, **options):
        self._count[self._name] += 1
        if self._name == "_moves":
            arguments[1].fill_(1)


class Operations(TorchDispatchMode):
    """Counts torch's operations that compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        views = (
            "view",
            "empty",
            "slice",
            "select",
            "unsqueeze",
            "permute",
            "expand",
            "alias",
            "detach",
            "as_strided",
        )
        self.count += not any(name in str(function) for name in views)
        return function(*args, **kwargs or {})


@pytest.mark.parametrize(("preset", "most"), [("exact", 750), ("fast", 480)])
def test_launches_of_a_batch(preset, most, monkeypatch):
    """At most one per four iterations and two per warp, whatever the number of pairs."""
    count: Counter = Counter()
    for module, name in ((iteration, "_iterate"), (warping, "_linearise"), (iteration, "_moves")):
        monkeypatch.setattr(module, name, Launches(count, name))
    scheme = scheme_of(Tvl1PresetParameters(preset=preset))
    levels = range(len(scheme.sizes(240, 320)))
    pictures = torch.zeros(4, 240, 320)
    with Operations() as operations:
        batched.flow_of_pairs(pictures, scheme, fused.refine)
    warps = sum(scheme.warps_at(level) for level in levels)
    assert count["_linearise"] == warps
    assert count["_moves"] == warps - len(levels)
    assert count["_iterate"] == sum(scheme.warps_at(n) * -(-scheme.iterations_at(n) // 4) for n in levels)
    assert count.total() + operations.count <= most


_COMPILE = """
import json
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from cocon.config.schema import Tvl1PresetParameters
from view_extractors.flow.tvl1 import batched, fused
from view_extractors.flow.tvl1.kernels import iteration, warping
from view_extractors.flow.tvl1.scheme import scheme_of

class NoGpu:
    get_current_device = get_current_stream = staticmethod(lambda *_: 0)
    get_current_target = staticmethod(lambda: GPUTarget("cuda", 90, 32))

class Compiled:
    def __init__(self, module, name):
        self.name, self.kernel = name, getattr(module, name)

    def __getitem__(self, grid):
        def compile(*arguments, **options):
            made = self.kernel.warmup(*arguments, grid=grid, **options)
            variants[made.hash] = (self.name, made.metadata.shared, made.asm["ptx"])
            if self.name == "_moves":
                arguments[1].fill_(1)
        return compile

driver.set_active(NoGpu())
variants = {}
for module, name in ((iteration, "_iterate"), (warping, "_linearise"), (iteration, "_moves")):
    setattr(module, name, Compiled(module, name))
for preset in ("exact", "fast"):
    for size in ((60, 80), (33, 97), (16, 1), (1, 1)):
        scheme = scheme_of(Tvl1PresetParameters(preset=preset, warps=2))
        batched.flow_of_pairs(torch.zeros(3, *size), scheme, fused.refine)
print(json.dumps(list(variants.values())))
"""


@pytest.fixture(scope="module")
def variants(repository, tmp_path_factory) -> list[tuple[str, int, str]]:
    """Name, bytes of shared memory and PTX of what is compiled for compute capability 9.0, without a GPU."""
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "0",
        "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton")),
        "PYTHONPATH": str(repository),
    }
    made = subprocess.run([sys.executable, "-c", _COMPILE], env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def test_nothing_is_compiled_per_size(variants):
    """But launches of three and of four iterations, and whether the change is measured."""
    names = Counter(name for name, _, _ in variants)
    assert names == {"_linearise": 1, "_moves": 1, "_iterate": 3}


def test_neighbours_come_by_shuffles_without_barriers(variants):
    found = set()
    for name, shared, ptx in variants:
        if name == "_iterate":
            assert shared == 0
            assert "bar.sync" not in ptx
            found.add(ptx.count("shfl.sync"))
    # four neighbours per iteration for two pixels per thread, in one of two registers; five for the sum
    each = 4 * 2 * 2
    assert found == {3 * each, 4 * each, 4 * each + 5}


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="no CUDA device")
@pytest.mark.parametrize("preset", ["exact", "fast"])
def test_agrees_with_torch_on_a_gpu(preset):
    height, width = 181, 243
    wide = texture(height, width + 16)
    pictures = [wide[:, 2 * i : 2 * i + width] for i in range(6)]
    pictures += [pictures[-1]]
    scheme = scheme_of(Tvl1PresetParameters(preset=preset))
    found = Tvl1OnGpu(scheme, DEVICE, fused.refine).flows(pictures)
    wanted = Tvl1OnGpu(scheme, DEVICE, batched.refine).flows(pictures)
    apart = np.linalg.norm(found - wanted, axis=-1)
    assert apart.mean() < 1e-3
    assert apart.max() < 0.2
    for index, pair in enumerate(pairwise(pictures)):
        np.testing.assert_array_equal(Tvl1OnGpu(scheme, DEVICE, fused.refine).flows(pair)[0], found[index])
