"""What Kafka keeps in its internal topics and files, declared, and how it is framed there."""
