"""What `nnarch check` tells, of the network and of the data, before a second is spent on training."""
