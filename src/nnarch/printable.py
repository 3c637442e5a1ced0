"""Text that can do a terminal no harm, whoever gave the names in it."""


def printable(text: str) -> str:
    """`text` with an escape for whatever neither shows nor ends a line.

    >>> printable("\\x1b[2Jno way")
    '\\\\x1b[2Jno way'
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
