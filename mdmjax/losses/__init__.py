"""What a denoiser costs on data: masked losses, exact and sampled, paths of samplers, circulation."""
