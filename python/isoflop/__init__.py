"""Scaling laws from Python: fit, allocate, predict, compare and plan, by the program `runner` that this package brings."""

from ._calls import Answer, Error, Fits, allocate, compare, fit, plan, predict

__all__ = ["Answer", "Error", "Fits", "allocate", "compare", "fit", "plan", "predict"]
