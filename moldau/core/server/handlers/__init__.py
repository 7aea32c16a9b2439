"""One API, one file; `registry.load()` finds them all."""
