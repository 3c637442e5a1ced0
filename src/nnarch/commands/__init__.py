"""The commands: one short function each, which parses, calls one job and shows."""
