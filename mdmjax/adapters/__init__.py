"""Files that give a plan to the samplers of others, one a sampler: each stands alone once it is written."""
