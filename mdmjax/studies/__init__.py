"""Studies: library objects in, a frozen report out, for the command line, experiments and notebooks."""
