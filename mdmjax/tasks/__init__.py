"""Tasks with answers that can be checked: generators, tokenisers, checkers, laws of random answers."""
