"""One streaming decoder for the check of a data set and for every extractor.

``docs/decoding.md`` lists how unusual files are handled, and why.
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
