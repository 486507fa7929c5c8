"""The Helm plugin `helm llmkube`: see and manage the model caches of a cluster or of a directory."""

__version__ = "0.1.0"
