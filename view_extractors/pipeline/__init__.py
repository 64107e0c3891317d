"""One pass over videos: decode, infer, write; its commands and their messages."""
