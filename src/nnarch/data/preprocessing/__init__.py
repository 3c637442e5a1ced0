"""What stands before and behind a network, fitted on training samples alone."""
