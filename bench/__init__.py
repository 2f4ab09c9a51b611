"""Benchmarks against peers: both sides in one process, medians of several runs, ratios printed."""
