"""Studies: one question a file, asked of library objects and answered by a frozen report."""
