"""Fetches model weights onto a volume once, proves them whole, and says what is there."""

__version__ = "0.1.0"
