"""Files that give a plan to the samplers of others: one a sampler, each standing alone once it is written."""
