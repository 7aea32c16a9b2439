"""The cluster's metadata: record types, an immutable image, and the controller that decides over both."""
