"""Prediction on photos of any size."""
