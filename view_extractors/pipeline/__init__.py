"""One pass over videos: decode, infer, write; its commands and what they say."""
