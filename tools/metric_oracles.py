"""Makes tests/metrics/oracles.json: what public implementations say of the sets in tests/metrics/sets.py.

    pip install --no-deps --target /tmp/oracles POT==0.9.7.post1 torch-fidelity==0.4.0
    PYTHONPATH=src:.:/tmp/oracles python tools/metric_oracles.py

Of torch-fidelity the two files with the statistics are taken alone, as the package as a whole needs torchvision.
"""

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path

import ot
import torch
from tests.metrics.sets import SETS

from reverie.metrics.gaussian_mmd import median_distance
from reverie.metrics.sliced import SlicedWasserstein

OUT = Path(__file__).parent.parent / "tests" / "metrics" / "oracles.json"


def fidelity(name):
    """One module of torch-fidelity, the package's own __init__ and what fetches data left out."""
    if "torch_fidelity" not in sys.modules:
        package = types.ModuleType("torch_fidelity")
        package.__path__ = importlib.util.find_spec("torch_fidelity").submodule_search_locations
        sys.modules["torch_fidelity"] = package
        unused = types.ModuleType("torch_fidelity.utils")
        unused.__getattr__ = lambda name: None
        sys.modules["torch_fidelity.utils"] = unused
    return importlib.import_module(f"torch_fidelity.{name}")


def figures(real, made):
    fid, kid = fidelity("metric_fid"), fidelity("metric_kid")
    statistics = [fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (real, made)]
    found = {"frechet": fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID]}
    if len(real) == len(made):  # their estimator takes no other
        found["kernel"] = kid.kernel_mmd(real, made, kid_kernel="poly", kid_kernel_poly_degree=3,
                                         kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)  # fmt: skip
        found["gaussian-mmd"] = kid.kernel_mmd(real, made, kid_kernel="rbf", kid_kernel_rbf_sigma=median_distance(real))
    lines = SlicedWasserstein().directions(real.shape[1])
    found["sliced-wasserstein"] = ot.sliced_wasserstein_distance(real, made, p=2, projections=lines)
    found["energy"] = float(
        max(0, 2 * ot.dist(real, made, "euclidean").mean() - ot.dist(real, real, "euclidean").mean()
            - ot.dist(made, made, "euclidean").mean()) ** 0.5
    )  # fmt: skip
    return {k: float(v) for k, v in found.items()}


if __name__ == "__main__":
    found = {"POT": ot.__version__, "torch-fidelity": "0.4.0", **{name: figures(*pair) for name, pair in SETS.items()}}
    OUT.write_text(json.dumps(found, indent=2) + "\n")
    print(OUT.read_text())
