"""Seeded mutations of every format that revisp reads, through every door that reads it: `docs/reliability.md`."""
