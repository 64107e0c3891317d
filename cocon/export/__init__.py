"""Exports encoders as self-contained folders, and computes embeddings of any video with them."""
