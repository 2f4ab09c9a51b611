"""Unmasking schedules: what they cost, and the best ones."""
