"""Consumer groups of the classic protocol: membership and committed offsets, as a pure shard."""
