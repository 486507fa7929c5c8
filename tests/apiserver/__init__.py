"""The chart's objects before a real API server: what it refuses, and what it lets nobody change."""
