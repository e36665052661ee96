"""What is said to people names files by what they call them, never by where the server keeps them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from reverie.server.wording import worded


class Plainly:
    """Takes the folders of a server out of texts: of `runs`, and of a store that may lie elsewhere."""

    def __init__(self, runs: Path, store: Path) -> None:
        kept = f"{re.escape(str(store))}/(?:uploads/|(?:staging|artifacts)/[0-9a-f]{{32}}-[0-9]+/(?:given/[\\w.]+/)?)?"
        self._folders = re.compile(f"{kept}|{re.escape(str(runs))}/")

    def text(self, said: str) -> str:
        """A sentence, in the words of the service."""
        return worded(self._folders.sub("", said))

    def json(self, value: Any) -> Any:
        """Texts within JSON, which are left as they are but for the folders."""
        return json.loads(self._folders.sub("", json.dumps(value, ensure_ascii=False)))

    def result(self, value: dict[str, Any]) -> dict[str, Any]:
        """What came of a job: its lines are sentences, all else is data."""
        made: dict[str, Any] = self.json(value)
        return made | {"lines": [self.text(line) for line in made["lines"]]} if "lines" in made else made
