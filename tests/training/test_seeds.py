from __future__ import annotations

from cocon.training.seeds import derived_seed


def test_one_seed_per_purpose() -> None:
    seeds = {derived_seed(seed, name, step) for seed in (0, 1) for name in ("a", "b") for step in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_stays_the_same() -> None:
    assert derived_seed(0, "network", 1, 2) == derived_seed(0, "network", 1, 2) == 8825073223294333404
