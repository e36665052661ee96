"""How data is destroyed, and what the posterior of a less noisy state is: one file a process."""

from reverie.core.processes.base import Process
from reverie.core.processes.gaussian import Gaussian

__all__ = ["Gaussian", "Process"]
