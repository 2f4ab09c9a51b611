"""Decoders: which positions a step reveals; the driver that samples with them."""
