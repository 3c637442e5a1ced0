"""Runs beside each other: listed, filtered, and what they differ in."""
