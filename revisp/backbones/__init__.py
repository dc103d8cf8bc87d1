"""The networks: one a file, each an RGB to demosaiced-RAW module, created by name."""
