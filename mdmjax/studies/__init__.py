"""What the commands do, as functions: each takes library objects and returns a frozen report."""
