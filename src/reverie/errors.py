"""The one error that a person is meant to read."""


class ReverieError(Exception):
    """Something a person can mend: the message says what was wrong, where, and what to do.

    The command line prints it as one message and ends with exit code 2; everything else that is raised is a defect.
    """


def quoted(path: object) -> str:
    """A path as it is typed in a shell, for commands that messages name."""
    import shlex

    return shlex.quote(str(path))


def likely(word: str, known: list[str]) -> str:
    """What to say of a word that is not known: "did you mean a or b?", or, where none is like it, "there are a, b and c."."""
    import difflib

    folded = {k.lower(): k for k in known}
    if close := [folded[k] for k in difflib.get_close_matches(word.lower(), list(folded))]:
        return f"did you mean {_listed(close, 'or')}?"
    return f"there {'is' if len(known) == 1 else 'are'} {_listed(known, 'and')}."


def nearest(word: str, known: list[str], n: int = 3) -> str:
    """Name the known words most like `word`, for the end of an error message: "a, b or c"."""
    import difflib

    folded = {k.lower(): k for k in known}
    close = [folded[k] for k in difflib.get_close_matches(word.lower(), list(folded), n=n, cutoff=0.4)]
    return _listed(close or known[:n], "or")


def _listed(words: list[str], last: str) -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)
