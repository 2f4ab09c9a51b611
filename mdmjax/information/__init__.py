"""Entropies of subsets and the information curve."""
