"""What is logged: a line of JSON each, to stderr."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


class Lines(logging.Formatter):
    """A record as JSON: when, how bad, by whom, what; facts of its own (`extra={"facts": ...}`); a traceback as text."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        time = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}"
        own: dict[str, Any] = record.__dict__.get("facts", {})
        found = {
            "time": time,
            "level": record.levelname.lower(),
            "from": record.name,
            "said": record.getMessage(),
            **own,
        }
        if record.exc_info:
            found["trace"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False)


def begin(level: int = logging.INFO) -> None:
    """Log like this from now on, in this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line for each byte that a stranger gets wrong
