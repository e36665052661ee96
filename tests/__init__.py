"""The tests; reverie is imported before PyTorch so that its OpenMP setting holds."""

import reverie

assert reverie.__version__
