"""How bytes get from an origin into a file: connections, redirects, retries, hashing and structural checks."""
