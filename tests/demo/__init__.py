"""`make demo`: the whole of llmkube, for real, on this machine."""
