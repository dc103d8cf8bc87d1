"""A page in the browser to try a model on: drop a photo, look at its RAW, develop it, download it."""
