"""What every layer stands on: clock, files, errors, ids, options, pending answers."""
