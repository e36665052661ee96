"""Who follows a run. Each file is one service that a person can name with --track; the registry finds it."""

from reverie.training.trackers.base import (
    Event,
    Jsonl,
    Memory,
    Service,
    Several,
    Silent,
    Tracker,
    damage,
    read_log,
    services,
)

__all__ = ["Event", "Jsonl", "Memory", "Service", "Several", "Silent", "Tracker", "damage", "read_log", "services"]
