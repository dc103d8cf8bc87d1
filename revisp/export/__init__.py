"""Model folders: what training leaves and `from_pretrained` reads."""
