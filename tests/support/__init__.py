"""Helpers that tests and benchmarks share: broker processes, raw requests, what is missing. Never part of moldau."""
