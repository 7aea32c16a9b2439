"""Moldau beside Apache Kafka in one run: `python -m bench`. Never imported by the product."""
