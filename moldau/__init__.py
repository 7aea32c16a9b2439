"""Moldau: a streaming platform that speaks the Apache Kafka protocol, in Python.

The public face of the package. It imports nothing heavy: `import moldau` must stay cheap.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
