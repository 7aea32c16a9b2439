"""Kafka's wire and record formats: declared messages, the codec made from them, batches, compression."""
