"""Export models as graphs that run without revisp."""
