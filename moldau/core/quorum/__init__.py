"""KRaft: the consensus that orders metadata. A pure step says what to do, a driver does it on a log."""
