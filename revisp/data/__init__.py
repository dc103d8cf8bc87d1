"""Data sets of sRGB photos and their RAW, crops, and the Lightning data module."""
