"""The best decoders there can be: Bellman recursions over partial assignments, and regret against them."""
