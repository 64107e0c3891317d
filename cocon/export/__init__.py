"""Encoders as folders that stand for themselves, and embeddings of any video from them."""
