"""Connections: one on which a request does not come whole in time is closed, and holds its place no longer."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def patient(seconds: float) -> type[H11Protocol]:
    """A protocol that waits so long for the lines and headers of a request; of bodies `security.limited` sees to it."""

    class Patient(H11Protocol):
        """Closes what keeps it waiting."""

        _due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            """Begin to wait."""
            super().connection_made(transport)
            self._due = self.loop.call_later(seconds, transport.abort)

        def data_received(self, data: bytes) -> None:
            """Stop waiting once a request has begun; begin anew where the next one comes in parts."""
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop()
            elif self._due is None:
                self._due = self.loop.call_later(seconds, self.transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget it."""
            self._stop()
            super().connection_lost(exc)

        def _stop(self) -> None:
            if self._due is not None:
                self._due.cancel()
                self._due = None

    return Patient
