"""What trials tell: which are the best, and what made them so."""
