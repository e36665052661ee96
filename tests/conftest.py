"""Shared by all tests: as many threads as a test process may have, and no network calls of any kind."""

import os

import torch

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
