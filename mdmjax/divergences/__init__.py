"""Divergences: how far a law is from the truth, in both directions."""
