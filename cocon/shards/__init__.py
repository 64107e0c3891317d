"""The HDF5 shard format: one file per view and shard (see docs/shard_format.md)."""

from __future__ import annotations

from cocon.shards.format import VideoInfo, VideoRecord, shard_of
from cocon.shards.reader import Shard, ShardSet
from cocon.shards.writer import ShardWriter

__all__ = ["Shard", "ShardSet", "ShardWriter", "VideoInfo", "VideoRecord", "shard_of"]
