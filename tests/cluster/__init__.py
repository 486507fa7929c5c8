"""A Kubernetes cluster for tests and the demo: built from source here, kind, or one the user names."""
