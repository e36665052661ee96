"""How data is destroyed, and what the posterior of a less noisy state is: one file a process."""

from reverie.core.processes.base import Process
from reverie.core.processes.categorical import Categorical, Masked, Uniform
from reverie.core.processes.gaussian import Gaussian
from reverie.core.processes.product import Product

__all__ = ["Categorical", "Gaussian", "Masked", "Process", "Product", "Uniform"]
