"""Denoisers: tokens with masks to log-probabilities at every position."""
