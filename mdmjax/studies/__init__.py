"""What the commands do, as library functions: objects in, a frozen report out that shows itself."""
