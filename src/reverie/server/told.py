"""What is said to people names files by what they call them, never by where the server keeps them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


class Plainly:
    """Takes the folders of a server out of texts: of `runs`, and of a store that may lie elsewhere."""

    def __init__(self, runs: Path, store: Path) -> None:
        kept = f"{re.escape(str(store))}/(?:uploads/|(?:staging|artifacts)/[0-9a-f]{{32}}-[0-9]+/(?:given/[\\w.]+/)?)?"
        self._folders = re.compile(f"{kept}|{re.escape(str(runs))}/")

    def text(self, said: str) -> str:
        """A sentence."""
        return self._folders.sub("", said)

    def json(self, value: Any) -> Any:
        """Texts within JSON."""
        return json.loads(self.text(json.dumps(value, ensure_ascii=False)))
