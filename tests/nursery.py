"""A process that has imported what nnarch is slow to import, and forks a child a command.

To start Python and torch takes two seconds, and the harness of `reliability/` starts nnarch
hundreds of times, mostly to kill it. A child of this process is a process of its own, with its own
signals, files and end; only its imports are inherited. It runs as `python nursery.py`, takes a line
of JSON a command on standard input, and answers each with a line. As `python nursery.py light` it
imports no torch, and neither may its children.
"""

import json
import os
import signal
import sys
from typing import Any


def _child(order: dict[str, Any]) -> None:
    """Become `nnarch` with the words of `order`; never comes back."""
    os.setsid()
    os.chdir(order["cwd"])
    for number, path in ((0, os.devnull), (1, order["stdout"]), (2, order["stderr"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags, 0o600), number)
    os.environ.update(order["env"])
    sys.argv = ["nnarch", *order["words"]]
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    code: Any = 1
    try:
        from nnarch import cli

        if order.get("save_every") is not None:
            from nnarch import keeper

            keeper.SAVE_EVERY = order["save_every"]
        cli.main()
    except SystemExit as ending:
        code = ending.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _import_all() -> None:
    import numpy  # noqa: F401
    import safetensors.torch  # noqa: F401
    import sklearn.utils  # noqa: F401
    import torch

    import nnarch.run  # noqa: F401

    torch.set_num_threads(1)


def main() -> None:
    import nnarch.cli
    import nnarch.config  # noqa: F401

    if sys.argv[1:] != ["light"]:
        _import_all()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # which whoever started this may have had ignored
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            ended, status = os.waitpid(order["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        elif answer := os.fork():
            pass
        else:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _child(order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
