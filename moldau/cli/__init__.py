"""The command line: what a person types. It holds no Kafka logic; it reaches a broker only over the wire."""
