"""Decoders of photos, one for each kind of file."""
