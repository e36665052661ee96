"""How each kind of data is shown in a report. Each file is one kind; the registry finds it by the codec's name for it."""

from reverie import registry
from reverie.report.panels.base import Panel, Subject

__all__ = ["Panel", "Subject", "of"]


def of(kind: str) -> Panel:
    """How a kind of data is shown."""
    cls: type[Panel] = registry.find("panels", kind)
    return cls()
