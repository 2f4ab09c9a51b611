"""Sweeps: a config of axes, its points, the engine that measures them, and the store of their rows."""
