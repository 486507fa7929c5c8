"""The commands of the command line, grouped by what they do. Nothing but these modules and cli.py prints."""
