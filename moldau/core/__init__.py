"""The broker: protocol, log, quorum, metadata, groups and server. Knows nothing of the layers above it."""
