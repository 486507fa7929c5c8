"""Checks what a run needs before it starts anything, and installs what it can."""
