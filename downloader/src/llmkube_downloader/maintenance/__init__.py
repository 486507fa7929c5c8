"""What can be done with entries besides fetching them."""
