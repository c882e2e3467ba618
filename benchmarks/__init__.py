"""Measurements: each module has ``run() -> dict`` with ratios that were taken in one run. ``python -m benchmarks``."""
