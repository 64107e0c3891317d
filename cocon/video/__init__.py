"""One streaming decoder for the check of a data set and for every extractor.

What becomes of which odd file, and why, stands in ``docs/decoding.md``.
"""

from cocon.video.decoder import (
    MAX_PIXELS,
    VideoError,
    VideoMissingError,
    VideoReader,
    check_file,
    decode,
    open_video,
)

__all__ = [
    "MAX_PIXELS",
    "VideoError",
    "VideoMissingError",
    "VideoReader",
    "check_file",
    "decode",
    "open_video",
]
