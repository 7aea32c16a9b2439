"""The log: segments, indexes, producer states, recovery, the writer and its sync rounds."""
