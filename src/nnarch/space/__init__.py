"""What a config leaves open: how it is written, which values there are, and their points."""
