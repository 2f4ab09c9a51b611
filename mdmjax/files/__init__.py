"""The only modules that touch the disk: reading inputs, writing outputs whole or not at all."""
