"""How fast it is, measured beside what else there is."""
