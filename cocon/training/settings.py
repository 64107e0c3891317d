"""The settings (``--settings``) of ``cocon init`` and ``cocon pretrain``: the keys that they depend on."""

from __future__ import annotations

from cocon.config.schema import Clip, Network, Pretraining, Section


class InitSettings(Section):
    """Settings of ``cocon init``."""

    clip: Clip = Clip()
    network: Network = Network()


class PretrainSettings(InitSettings):
    """Settings of ``cocon pretrain``."""

    pretraining: Pretraining = Pretraining()
