"""`python -m nnarch` is the `nnarch` command.

Python then looks for modules in the working directory first, where the `nnarch` command does not
look at all: a file called numpy.py beside some data would run. So that place is given up.
"""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]
    from nnarch.cli import main

    main()
