"""Parsers of the files that photos come in, as far as no library shows what they hold."""
