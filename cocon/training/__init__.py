"""Pretraining: trainer, checkpoints, logging and several processes."""
