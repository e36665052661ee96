"""Shared by all tests: two threads, and no network calls of any kind."""

import torch

torch.set_num_threads(2)
