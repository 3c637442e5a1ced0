"""The blocks: layers that torch has not, under lower-case names for lists of layers."""
