"""Container images without a registry: built once per content, kept as OCI archives."""
