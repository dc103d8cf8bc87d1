"""Models as files: the folder that training leaves, and graphs that run without revisp."""
