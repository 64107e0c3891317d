"""What ``cocon init`` and ``cocon pretrain`` take as ``--settings``: the keys that they depend on."""

from __future__ import annotations

from cocon.config.schema import Clip, Network, Pretraining, Section


class InitSettings(Section):
    """Of ``cocon init``."""

    clip: Clip = Clip()
    network: Network = Network()


class PretrainSettings(InitSettings):
    """Of ``cocon pretrain``."""

    pretraining: Pretraining = Pretraining()
