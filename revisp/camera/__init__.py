"""Cameras: their profile, forward and inverse processing, noise, and simulation."""
