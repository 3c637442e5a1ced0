"""The version of nnarch, which every run and checkpoint says that it was made by."""

VERSION = "0.1.0"
