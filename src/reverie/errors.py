"""The one error that a person is meant to read."""


class ReverieError(Exception):
    """Something a person can mend: the message says what was wrong, where, and what to do.

    The command line prints it as one message and ends with exit code 2; everything else that is raised is a defect.
    """


def quoted(path: object) -> str:
    """A path as it is typed in a shell, for commands that messages name."""
    import shlex

    return shlex.quote(str(path))


def nearest(word: str, known: list[str], n: int = 3) -> str:
    """Name the known words most like `word`, for the end of an error message: "a, b or c"."""
    import difflib

    folded = {k.lower(): k for k in known}
    close = [folded[k] for k in difflib.get_close_matches(word.lower(), list(folded), n=n, cutoff=0.4)]
    words = close or known[:n]
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " or " + words[-1]
