"""Tokens: 256 random bits each, known to the server by their SHA-256 alone, in lines of NAME SCOPE SHA256."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from reverie.errors import ReverieError, quoted
from reverie.files import told_plainly

_LINE = re.compile(r"(?P<name>[\w.@-]{1,64})\s+(?P<scope>admin|user)\s+(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Caller:
    """Who asks: the owner of what they make; an admin sees all."""

    owner: str
    admin: bool


def new_token(name: str, scope: str = "user") -> tuple[str, str]:
    """A token, 256 random bits, and the line of a token file that knows it: its SHA-256, from which it cannot be had."""
    token = secrets.token_urlsafe(32)
    return token, f"{name} {scope} {_digest(token)}"


def read_tokens(path: Path) -> dict[str, Caller]:
    """Who has which token, by its SHA-256, from lines of NAME SCOPE SHA256; ReverieError names the line, never its text."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise ReverieError(
            f"There is no --token-file {path}. Make it: reverie token NAME --token-file {quoted(path)}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ReverieError(f"--token-file {path} cannot be read ({type(error).__name__}).") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if (match := _LINE.fullmatch(line.strip())) is None:
            raise ReverieError(
                f"{path}, line {number}: write NAME SCOPE SHA256, scope admin or user; the token itself does not belong there."
            )
        found[match["digest"]] = Caller(match["name"], match["scope"] == "admin")
    if not found:
        raise ReverieError(f"{path} holds no token. Add a line of NAME SCOPE SHA256.")
    return found


def caller_of(tokens: dict[str, Caller], token: str) -> Caller | None:
    """Whose token it is; None for nobody's. How long it takes tells nothing."""
    mine = _digest(token)
    return next((caller for digest, caller in tokens.items() if hmac.compare_digest(digest, mine)), None)


def add_token(path: Path, name: str, scope: str) -> str:
    """Make a token and add its line to a file, which is made where it is not there; returns the token. Raises ReverieError."""
    token, line = new_token(name, scope)
    if _LINE.fullmatch(line) is None:
        raise ReverieError(
            f"{name!r} {scope!r}: a name has 1 to 64 letters, digits and _ . @ -; the scope is user or admin."
        )
    with told_plainly(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b") as file:
            before = file.read()
            file.write((b"" if before.endswith(b"\n") or not before else b"\n") + line.encode() + b"\n")
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
