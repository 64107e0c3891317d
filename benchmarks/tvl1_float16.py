"""What TV-L1 on a GPU loses by keeping dual and data term in float16 between launches, simulated in torch.

    python -m benchmarks.tvl1_float16

The same pairs with everything in float32, and with both rounded where the kernels keep them: distance of the
two flows, px; mean difference of the first picture and the second one moved back, grey levels; and, of
rendered pairs, error against the true flow, px. Real pairs are left out where COCON_SHARED_DATA (default
../shared/data) is missing.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.flow import Pair, distance, photometric, real, rendered
from cocon.config.schema import Tvl1PresetParameters
from view_extractors.flow.tvl1 import batched
from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu
from view_extractors.flow.tvl1.scheme import Scheme, scheme_of

#: iterations of a launch; the kernels' module needs Triton
DEPTH = 4
REAL = 12
_iterate = batched.iterate


def rounding(
    flow: Tensor, dual: Tensor, data: tuple[Tensor, Tensor, Tensor], scheme: Scheme, iterations: int
) -> tuple[Tensor, Tensor]:
    """In the place of :func:`view_extractors.flow.tvl1.batched.iterate`."""
    rho, normal, bound = (planes.half().float() for planes in data)
    for done in range(0, iterations, DEPTH):
        flow, dual = _iterate(flow, dual, (rho, normal, bound), scheme, min(DEPTH, iterations - done))
        dual = dual.half().float()
    return flow, dual


def flows(pairs: list[Pair], preset: str) -> list[np.ndarray]:
    scheme = scheme_of(Tvl1PresetParameters.model_validate({"preset": preset}))
    gpu = Tvl1OnGpu(scheme, torch.device("cpu"), batched.refine)
    return [gpu.flows([pair.first, pair.second])[0] for pair in pairs]


def show(name: str, pairs: list[Pair], preset: str) -> None:
    """A row: mean distance, and the changes of both errors in per cent."""
    exact = flows(pairs, preset)
    with patch.object(batched, "iterate", rounding):
        rounded = flows(pairs, preset)
    apart = np.mean([distance(*two).mean() for two in zip(exact, rounded, strict=True)])
    row = f"{name} {preset}: {len(pairs)} pairs, {apart:.4f} px apart"
    row += f", photometric {change(pairs, exact, rounded, photometric):+.2f} %"
    if pairs[0].flow is not None:
        row += f", error {change(pairs, exact, rounded, error):+.2f} %"
    print(row, flush=True)


def error(pair: Pair, flow: np.ndarray) -> float:
    assert pair.flow is not None
    return float(distance(flow, pair.flow).mean())


def change(pairs: list[Pair], exact: list[np.ndarray], rounded: list[np.ndarray], figure: object) -> float:
    assert callable(figure)
    before, after = (sum(map(figure, pairs, found)) for found in (exact, rounded))
    return 100 * (after / before - 1)


def main() -> None:
    torch.set_num_threads(1)
    sorts = {
        "128x128 real": [pair.scaled((128, 128)) for pair in real()[:REAL]],
        "128x128 rendered": [pair.scaled((128, 128)) for pair in rendered(128)[::3]],
        "320x240 real": [pair.scaled((240, 320)) for pair in real()[:REAL]],
        "320x240 rendered": [pair.scaled((240, 320)) for pair in rendered(240)[::10]],
    }
    for name, pairs in sorts.items():
        for preset in ("exact", "fast") if pairs else ():
            show(name, pairs, preset)


if __name__ == "__main__":
    main()
