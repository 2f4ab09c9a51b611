"""Traces of decoders: when each position was finalised, and what that says of the decoder."""
