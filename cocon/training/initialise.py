"""Creates randomly initialised networks."""

from __future__ import annotations

from pathlib import Path

import torch

from cocon.config.schema import Network
from cocon.models.network import ViewNetwork, build_network
from cocon.training.checkpoint import save_encoder
from cocon.training.seeds import derived_seed
from cocon.training.settings import InitSettings


def initial_network(view: str, settings: Network, seed: int) -> ViewNetwork:
    """A freshly initialised network; the same for the same view, settings and seed.

    Stage 1 starts from the same weights, so the row "random" of a table is the state before training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "initialise", view))
        return build_network(view, settings)


def write_initial_encoders(views: list[str], folder: Path, settings: InitSettings, seed: int) -> None:
    """Write ``<folder>/<view>.safetensors`` with the pretraining "random" for every view."""
    for view in views:
        model = initial_network(view, settings.network, seed)
        save_encoder(folder / f"{view}.safetensors", model, view, settings.clip, "random", epoch=0, seed=seed)
