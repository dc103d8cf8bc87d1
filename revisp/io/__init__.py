"""Files: photos in, RAW in, RAW out."""
