"""A whole cluster in namespaces of its own: network, mounts and processes end with its first process."""
