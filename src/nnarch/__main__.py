"""`python -m nnarch` is the `nnarch` command."""

from nnarch.cli import main

if __name__ == "__main__":
    main()
