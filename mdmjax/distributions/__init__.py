"""Distributions over sequences: exact samples, marginals and masked conditionals."""
