"""Twenty steps of training on a fixed seed: a change of the method that nobody meant shows here.

Everything from stored bytes to the loss takes part: augmentation, networks, loss, gradients. Training is
chaotic: what float32 rounds in another order (threads, instruction set) grows a thousandfold per step. So the
networks compute in float64, where one and two threads agree in all digits shown. Augmentation and the drawing
of the first weights stay in float32, so that the figures hold for processors that round them alike.
If a change is meant, run this file as a script and paste what it prints.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cocon.config.schema import Augmentation, Clip, Loss, Network
from cocon.data.augmentation import Augmenter
from cocon.losses.cocon import CoConLoss
from cocon.models.network import build_network
from cocon.views import VIEWS

VIEWS_TRAINED = ("rgb", "flow", "mask")
CLIP = Clip(blocks=4, frames_per_block=5, predicted_blocks=2)
NETWORK = Network(layers=(1, 1, 1, 1), width=4, features=16, dropout=0.1)
STEPS, BATCH, PIXELS = 20, 4, 40
LEARNING_RATE = 0.003
TOLERANCE = 1e-4

CASES = {"cocon": Loss(temperature=0.1), "cmc": Loss()}
# fmt: off
GOLDEN = {
    "cocon": [
        45.3073, 37.762, 38.8523, 38.7999, 39.122, 33.2886, 30.8876, 34.7348, 30.0554, 28.3343,
        27.1087, 26.8237, 33.3569, 29.0997, 30.2043, 23.2602, 22.2769, 28.0371, 24.5901, 27.0506,
    ],
    "cmc": [
        17.6914, 13.9343, 16.6597, 15.1996, 16.2374, 13.2335, 7.8686, 7.9237, 9.8766, 10.1236,
        6.0693, 7.837, 13.9707, 6.4459, 7.7025, 4.8701, 5.2736, 6.6167, 5.1219, 5.5916,
    ],
}
# fmt: on


def batch_of(step: int) -> dict[str, Tensor]:
    """A pattern per clip that moves on from frame to frame, in bytes; the same motion in every view."""
    generator = torch.Generator().manual_seed(step % 5)
    start, speed = torch.rand(2, BATCH, 2, generator=generator)
    times = torch.arange(CLIP.frames)
    position = (start[:, None] + 0.04 * (speed[:, None] - 0.5) * times[:, None]) % 1 * PIXELS
    grid = torch.arange(PIXELS)
    distance = (grid[:, None] - position[..., 0, None, None]) ** 2 + (
        grid - position[..., 1, None, None]
    ) ** 2
    blob = 255 * torch.exp(-distance / 40)  # (B, T, H, W)
    scale = {view: torch.rand(VIEWS[view].channels, 1, 1, generator=generator) for view in VIEWS_TRAINED}
    return {view: (blob[:, :, None] * scale[view]).to(torch.uint8) for view in VIEWS_TRAINED}


def curve(preset: str, loss: Loss) -> list[float]:
    torch.manual_seed(0)
    networks = torch.nn.ModuleDict({view: build_network(view, NETWORK) for view in VIEWS_TRAINED}).double()
    criterion, augment = CoConLoss(loss, preset), Augmenter(Augmentation(), CLIP)
    optimiser = torch.optim.SGD(networks.parameters(), lr=LEARNING_RATE, momentum=0.5)
    values = []
    for step in range(STEPS):
        torch.manual_seed(step)
        generator = torch.Generator().manual_seed(step)
        outputs = {
            view: networks[view](augment(x, view, generator).double(), CLIP.predicted_blocks)
            for view, x in batch_of(step).items()
        }
        total = criterion(outputs).total
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        values.append(total.item())
    return values


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="the figures are of x86-64 processors with AVX2",
)
@pytest.mark.parametrize("preset", CASES)
def test_twenty_steps_give_the_losses_that_they_always_gave(preset: str) -> None:
    assert curve(preset, CASES[preset]) == pytest.approx(GOLDEN[preset], rel=TOLERANCE)


if __name__ == "__main__":
    for name, settings in CASES.items():
        print(f"    {name!r}: {[round(value, 4) for value in curve(name, settings)]},")
