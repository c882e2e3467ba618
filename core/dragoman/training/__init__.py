"""Training: methods, the trainer, and where batches come from."""

from dragoman.training.method import Batch, BatchSource, Losses, Method, Phase

__all__ = ["Batch", "BatchSource", "Losses", "Method", "Phase"]
