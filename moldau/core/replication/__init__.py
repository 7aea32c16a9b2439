"""The partitions this broker hosts: high watermark, waiting producers and fetchers."""
