"""Losses: pixel, structural, perceptual, and their composition by region."""
