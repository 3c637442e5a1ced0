"""What a person reads of a search: before, while it runs, and after."""
