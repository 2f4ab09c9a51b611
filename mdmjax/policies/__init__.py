"""The best decoders there can be, by Bellman's recursion, and regret against them."""
