"""Listeners and receive buffers: bytes in, whole frames out. Knows no message."""
