"""What `nnarch check` tells of the network and of the data, before a second goes into training."""
