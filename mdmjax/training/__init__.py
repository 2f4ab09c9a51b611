"""Training a denoiser: data drawn on the device, an unbiased masked loss, steps scanned in one program."""
