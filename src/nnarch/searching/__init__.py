"""A search: what is tried, how much at once and by whom, and what becomes of it."""
