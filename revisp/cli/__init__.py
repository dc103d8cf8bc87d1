"""The commands: one short file each; heavy imports stay inside functions so that --help is quick."""
