"""The commands, one short file each. Heavy imports stay inside functions, so that --help is quick."""
