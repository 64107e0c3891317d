"""The augmentation in Triton: in Triton's interpreter where there is no GPU, and compiled for one.

`make test-backends` has Triton; an environment with torch for CPUs alone has not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed; make test-backends has it")

from cocon.config.schema import Augmentation, Clip
from cocon.data import augmentation_kernels as kernels
from cocon.data.augmentation import Augmenter, by_operations, check
from cocon.views import VIEWS

ON_GPU = torch.cuda.is_available()
pytestmark = [pytest.mark.backends, *([pytest.mark.gpu] if ON_GPU else [])]

DEVICE = torch.device("cuda" if ON_GPU else "cpu")
CLIP = Clip(blocks=2, frames_per_block=2, predicted_blocks=1)
EVERYTHING = Augmentation(**{f"{view}_flip": 0.5 for view in VIEWS}, grey=0.5)
KINDS = ("flipped", "brightness", "contrast", "saturation", "hue")


def drawn(view: str, seed: int = 0) -> dict[str, torch.Tensor]:
    draws = Augmenter(EVERYTHING, CLIP)._draw(3, 4, view, torch.Generator().manual_seed(seed))
    return {name: values.to(DEVICE) for name, values in draws.items()}


def clips(view: str, height: int = 7, width: int = 9) -> torch.Tensor:
    shape = (3, 4, VIEWS[view].channels, height, width)
    x = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return x.to(DEVICE)


def compare(x: torch.Tensor, view: str, draws: dict[str, torch.Tensor]) -> None:
    found, wanted = (way(x, view, draws, CLIP) for way in (kernels.augment, by_operations))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert found.permute(0, 1, 3, 4, 5, 2).is_contiguous()


@pytest.mark.parametrize("block", [16, 1024])
@pytest.mark.parametrize("view", list(VIEWS))
def test_everything_together(view: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_BLOCK", block)
    for seed in range(2):
        compare(clips(view), view, drawn(view, seed))


@pytest.mark.parametrize("view", list(VIEWS))
def test_nothing(view: str) -> None:
    draws = {"grey": torch.zeros(12, device=DEVICE)} if view == "rgb" else {}
    compare(clips(view), view, draws)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone(kind: str) -> None:
    draws = drawn("rgb")
    compare(clips("rgb"), "rgb", {"grey": torch.zeros(12, device=DEVICE), kind: draws[kind]})


def test_grey_takes_the_drawn_channel() -> None:
    draws = drawn("rgb")
    compare(clips("rgb"), "rgb", {name: draws[name] for name in ("grey", "channel")})


@pytest.mark.parametrize("view", list(VIEWS))
def test_layout_does_not_matter(view: str) -> None:
    """As collated: channels last, or as a part of something larger."""
    x = clips(view)
    last = x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    part = clips(view, 12, 20)[..., 2:9, 5:14]
    for other in (last, part):
        compare(other, view, drawn(view))
    torch.testing.assert_close(
        kernels.augment(last, view, drawn(view), CLIP), kernels.augment(x, view, drawn(view), CLIP)
    )


def test_they_pass_the_check_before_their_first_use() -> None:
    check(kernels.augment, DEVICE)


_COMPILE = """
import json
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from cocon.data import augmentation_kernels as kernels
from tests.data.test_augmentation_kernels import CLIP, VIEWS, clips, drawn

class NoGpu:
    get_current_device = get_current_stream = staticmethod(lambda *_: 0)
    get_current_target = staticmethod(lambda: GPUTarget("cuda", 90, 32))

class Compiled:
    def __init__(self, name):
        self.name, self.kernel = name, getattr(kernels, name)

    def __getitem__(self, grid):
        def compile(*arguments, **options):
            made = self.kernel.warmup(*arguments, grid=grid, **options)
            variants[made.hash] = self.name
        return compile

driver.set_active(NoGpu())
variants = {}
for name in ("_mean_luma", "_photograph", "_plain"):
    setattr(kernels, name, Compiled(name))
for view in VIEWS:
    for size in ((16, 16), (7, 9), (1, 1)):
        kernels.augment(clips(view, *size), view, drawn(view), CLIP)
print(json.dumps(sorted(variants.values())))
"""


def test_they_compile_for_a_gpu_and_not_per_size(repository: Path, tmp_path: Path) -> None:
    """For compute capability 9.0, without a GPU: one for rgb and its contrast, one per other view."""
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "0",
        "TRITON_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(repository),
    }
    made = subprocess.run([sys.executable, "-c", _COMPILE], env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    names = json.loads(made.stdout)
    assert names == ["_mean_luma", "_photograph", "_plain", "_plain", "_plain"]
