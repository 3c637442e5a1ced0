"""`python -m nnarch` is the `nnarch` command.

Python then looks for modules in the working directory first, where the `nnarch` command does not
look at all: a file called numpy.py beside some data would run. So that place is given up.
"""

import contextlib
import os
import sys

if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the directory is gone, so Python does not look there
        if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
            del sys.path[0]
    from nnarch.cli import main

    main()
