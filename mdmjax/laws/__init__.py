"""Laws: the exact distribution that a decoder outputs."""
