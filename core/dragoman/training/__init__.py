"""Training: methods, the trainer, and where batches come from."""

from dragoman.training.method import Batch, BatchSource, Losses, Method, Phase
from dragoman.training.settings import Settings
from dragoman.training.trainer import Trainer, TrainingResult

__all__ = ["Batch", "BatchSource", "Losses", "Method", "Phase", "Settings", "Trainer", "TrainingResult"]
