"""A model as a folder: written whole, read without executing anything from it, older formats brought up to date."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

import reverie
from reverie import files, registry
from reverie.conditions import Knowledge
from reverie.core.denoiser import Learned, NetworkDenoiser, ProductDenoiser, TokenDenoiser
from reverie.core.processes import Categorical, Gaussian, Process, Product
from reverie.errors import ReverieError
from reverie.networks.conditions import Told
from reverie.samples import Settings

if TYPE_CHECKING:
    from reverie.model import Model

FORMAT = 5
WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"
_FORMAT_OF_TENSORS = {"format": "pt"}  # as every safetensors file of PyTorch says


def describe(model: Model) -> dict[str, Any]:
    """All of a model but its weights, as JSON."""
    denoiser = model.denoiser
    return {
        "format": FORMAT,
        "reverie": reverie.__version__,
        "codec": registry.config(model.codec),
        **_denoiser_config(denoiser),
        "network": network_config(denoiser.network),
        "conditions": model.conditions.to_json(),
        "sampling": model.defaults.to_json(),
        "training": model.record,
        "data": model.card,
    }


def _denoiser_config(denoiser: Learned) -> dict[str, Any]:
    """Process and target as JSON; tokens have no target but the data itself."""
    about: dict[str, Any] = {"process": _process_config(denoiser.process)}
    if isinstance(denoiser, NetworkDenoiser | ProductDenoiser):
        about |= {"parameterisation": registry.config(denoiser.parameterisation), "sigma_data": denoiser.sigma_data}
    return about


def _process_config(process: Process) -> dict[str, Any]:
    """A process but its tensors as JSON."""
    name = registry.name_of(type(process))
    if isinstance(process, Product):
        return {"name": name, "fields": {k: _process_config(p) for k, p in process.fields.items()}}
    classes = {"classes": process.classes} if isinstance(process, Categorical) else {}
    return {"name": name, "schedule": registry.config(process.schedule), **classes}


def _process(about: dict[str, Any], tensors: dict[str, Tensor], prefix: str = "process.") -> Process:
    """What `_process_config` described, with the moments among the tensors, which are taken out."""
    cls = registry.find("processes", about["name"])
    if issubclass(cls, Product):
        return cls({str(k): _process(p, tensors, f"{prefix}{k}.") for k, p in dict(about["fields"]).items()})
    if issubclass(cls, Categorical):
        return cls(int(about["classes"]), registry.from_config("survivals", about["schedule"]))
    schedule = registry.from_config("schedules", about["schedule"])
    return Gaussian(schedule, tensors.pop(f"{prefix}mean"), tensors.pop(f"{prefix}variance"))


def _moments(process: Process, prefix: str = "process.") -> dict[str, Tensor]:
    """The tensors of a process, by name."""
    if isinstance(process, Product):
        return {k: v for name, p in process.fields.items() for k, v in _moments(p, f"{prefix}{name}.").items()}
    return (
        {f"{prefix}mean": process.mean, f"{prefix}variance": process.variance} if isinstance(process, Gaussian) else {}
    )


def _denoiser(about: dict[str, Any], net: nn.Module, tensors: dict[str, Tensor]) -> Learned:
    """What `_denoiser_config` described, with a network and the moments among the tensors."""
    process = _process(about["process"], tensors)
    if isinstance(process, Categorical):
        return TokenDenoiser(net, process)
    target, sigma_data = (
        registry.from_config("parameterisations", about["parameterisation"]),
        float(about["sigma_data"]),
    )
    if isinstance(process, Product):
        return ProductDenoiser(net, process, target, sigma_data)
    assert isinstance(process, Gaussian)
    return NetworkDenoiser(net, process, target, sigma_data)


def network_config(network: nn.Module) -> dict[str, Any]:
    """Name and arguments of a registered network; a person's own is only named, and must be given again to load."""
    from reverie.networks import Network

    if isinstance(network, Network) and type(network) in registry.registered("networks").values():
        return {"name": registry.name_of(type(network)), "config": network.config}
    return {"name": "custom", "class": f"{type(network).__module__}.{type(network).__qualname__}"}


def save(model: Model, path: Path) -> Path:
    """Write the folder: weights first, the description last, so that a folder with a description is complete.

    Raises ReverieError where something else is in the way, or the disk is full.
    """
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not is_model(path) and not is_run(path))):
        raise ReverieError(f"{path} is there already and is not a Reverie model; choose another place.")
    with files.told_plainly(path):
        path.mkdir(parents=True, exist_ok=True)
        (path / DESCRIPTION).unlink(missing_ok=True)
    write_into(model, path)
    return path


def write_into(model: Model, path: Path) -> None:
    """Write the three files of a model into a folder that is there."""
    save_tensors(_tensors(model), path / WEIGHTS)
    description = describe(model)
    description["weights"] = {"sha256": files.sha256(path / WEIGHTS), "parameters": model.parameters}
    files.write_text(path / "README.md", model_card(model, description))
    files.write_json(path / DESCRIPTION, description)


def fingerprint(model: Model) -> str:
    """SHA-256, in hex, of the weights file that saving the model writes: which model this is, wherever it was loaded from."""
    return hashlib.sha256(to_bytes(_plain(_tensors(model)), metadata=_FORMAT_OF_TENSORS)).hexdigest()


def _tensors(model: Model) -> dict[str, Tensor]:
    """All of a model that is kept in the weights file."""
    tensors = {f"network.{k}": v for k, v in model.denoiser.network.state_dict().items()}
    return tensors | _moments(model.denoiser.process) | model.conditions.tensors()


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of their own memory on the CPU: shared or strided memory cannot be written."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors whole as safetensors; shared or strided memory is copied first."""
    files.write_whole(path, lambda p: save_file(_plain(tensors), p, metadata=_FORMAT_OF_TENSORS))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors; anything else, a pickle above all, is refused by content, and nothing of it runs."""
    if not path.is_file():
        raise ReverieError(f"{path} is missing; the folder is not a whole Reverie model. Copy it again.")
    with path.open("rb") as file:
        head = file.read(9)
    if head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise ReverieError(
            f"{path} is a Python pickle (or a zip of one) under another name. Reverie never opens pickles, as they can run "
            "anything; ask for the weights as safetensors."
        )
    length = struct.unpack("<Q", head[:8])[0] if len(head) == 9 else 0
    if not 0 < length < path.stat().st_size or head[8:9] != b"{":
        raise ReverieError(f"{path} is not a safetensors file: it is cut off, empty or something else. Copy it again.")
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ReverieError(f"{path} is not a whole safetensors file ({error}). Copy it again.") from error


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a safetensors file, from its header alone."""
    with safe_open(path, framework="pt") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 (not a dict)


def is_model(path: Path) -> bool:
    """Whether a folder holds a whole model."""
    return (path / DESCRIPTION).is_file()


def is_run(path: Path) -> bool:
    """Whether a folder holds a training run, whole or cut off."""
    return (path / "run.json").is_file()


def newest_checkpoint(run: Path) -> Path | None:
    """The last whole checkpoint of a run: they are renamed into place, so any that is there is whole."""
    found = sorted((run / "checkpoints").glob("[0-9]*")) if (run / "checkpoints").is_dir() else []
    return found[-1] if found else None


def load(path: Path, network: nn.Module | None = None) -> Model:
    """Read a model folder, or of a run that was cut off, its newest checkpoint.

    network: the person's own network, for a model that was trained with one. Raises ReverieError for anything missing,
    foreign, damaged, or made by a newer Reverie.
    """
    if not path.exists():
        near = sorted(p.name for p in path.parent.iterdir() if is_model(p)) if path.parent.is_dir() else []
        raise ReverieError(f"There is no {path}." + (f" Models beside it: {', '.join(near[:5])}." if near else ""))
    folder = path
    if not is_model(path):
        folder = newest_checkpoint(path) or path
        if not is_model(folder):
            what = "a run that has no checkpoint yet" if is_run(path) else "not a Reverie model: it has no model.json"
            raise ReverieError(f"{path} is {what}.")
    return _read(folder, network)


def _read(folder: Path, network: nn.Module | None) -> Model:
    from reverie.model import Model

    about = migrate(files.read_json(folder / DESCRIPTION), folder)
    tensors = load_tensors(folder / WEIGHTS)
    _check_hash(about, folder)
    try:
        net = network if network is not None else _network(about["network"], tensors, folder)
        denoiser = _denoiser(about, net, tensors)
        conditions = Knowledge.from_json(about["conditions"], tensors)
        _check_told(net, conditions)
        net.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items()})
        denoiser.eval()
        return Model(
            registry.from_config("codecs", about["codec"]),
            denoiser,
            conditions,
            Settings.from_json(dict(about["sampling"])),
            dict(about["training"]),
            dict(about["data"]),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ReverieError(
            f"{folder / DESCRIPTION} and {WEIGHTS} do not describe one model ({type(error).__name__}: {error}). "
            "The folder is damaged or was put together by hand."
        ) from error


def _check_hash(about: dict[str, Any], folder: Path) -> None:
    """Refuse weights that are not those that the description was written with."""
    named = about.get("weights")
    expected = named.get("sha256") if isinstance(named, dict) else None
    if expected is not None and (found := files.sha256(folder / WEIGHTS)) != expected:
        raise ReverieError(
            f"{folder / WEIGHTS} is not the file that {DESCRIPTION} was written with (SHA-256 {found[:12]}, expected "
            f"{str(expected)[:12]}): it was changed or damaged. Copy the folder again."
        )


def _check_told(net: nn.Module, conditions: Knowledge) -> None:
    """Refuse a network of Reverie's that is told other conditions than the model knows."""
    for told in (module for module in net.modules() if isinstance(module, Told)):
        if told.declared != conditions.declared:
            raise ValueError(f"the network is told {told.declared}, the model knows {conditions.declared}")


def _network(about: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> nn.Module:
    """Build the network without memory first: a description that does not fit the weights costs nothing."""
    if about["name"] == "custom":
        raise ReverieError(
            f"{folder} was trained with a network of its owner's, {about.get('class')}. Load it in Python and give that "
            f"network: reverie.load({str(folder)!r}, network=...)."
        )
    cls = registry.find("networks", about["name"])
    with torch.device("meta"):
        expected = {f"network.{k}": tuple(v.shape) for k, v in cls(**about["config"]).state_dict().items()}
    found = {k: tuple(v.shape) for k, v in tensors.items() if k.startswith("network.")}
    if expected != found:
        odd = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        raise ReverieError(
            f"The weights in {folder / WEIGHTS} are not those of the network in {DESCRIPTION}: {len(odd)} differ, the first "
            f"is {odd[0]} ({found.get(odd[0], 'missing')} where {expected.get(odd[0], 'nothing')} belongs)."
        )
    return cls(**about["config"])


def migrate(about: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Bring a description of an older format up to today's; a newer one is refused."""
    version = about.get("format")
    if not isinstance(version, int) or version < 1:
        raise ReverieError(f"{folder / DESCRIPTION} is not a Reverie model: it names no format version.")
    if version > FORMAT:
        raise ReverieError(
            f"{folder} has format {version}, made by Reverie {about.get('reverie', 'of a later date')}; this is "
            f"{reverie.__version__}, which reads up to {FORMAT}. Upgrade Reverie."
        )
    for old in range(version, FORMAT):
        about = {**MIGRATIONS[old](about), "format": old + 1}
    return about


def _from_1(about: dict[str, Any]) -> dict[str, Any]:
    """Format 1 kept the classes inside the condition, and had no sampling defaults."""
    about = dict(about)
    label = about.pop("conditions", {}).get("label", {})
    names = label.get("names", [])
    return {
        **about,
        "classes": names,
        "frequencies": label.get("frequencies", [1.0] * len(names)),
        "sampling": Settings().to_json(),
    }


def _from_2(about: dict[str, Any]) -> dict[str, Any]:
    """Format 2 knew Gaussian processes alone, described as they are today."""
    return about


def _from_3(about: dict[str, Any]) -> dict[str, Any]:
    """Format 3 knew one condition, the label."""
    about = dict(about)
    classes, frequencies = about.pop("classes", []), about.pop("frequencies", [])
    label = {"kind": "label", "classes": classes, "frequencies": frequencies}
    return {**about, "conditions": {"label": label} if classes else {}}


def _from_4(about: dict[str, Any]) -> dict[str, Any]:
    """Format 4 knew data of one field, described as it is today."""
    return about


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4}


def model_card(model: Model, about: dict[str, Any]) -> str:
    """The README.md of a model folder, with the front matter that model hubs read."""
    data, record = model.card, model.record
    shape, things = model.codec.shape_words, model.codec.things
    told = "; ".join(f"{name}: {one.line()}" for name, one in model.conditions.items()) or "nothing"
    return f"""---
library_name: reverie
tags: [diffusion, {model.codec.kind}]
---

# A Reverie model of {data.get("source", "some data")}

A diffusion model trained from scratch with Reverie {about["reverie"]}.

- data: {data.get("source", "unknown")}, {data.get("train", "?")} {things} to train, {data.get("held_out", "?")} held out
- {things}: {model.codec.found_as}; as the network sees each: {shape}
- told: {told}
- network: {about["network"]["name"]}, {model.parameters:,} parameters; process {about["process"]["name"]};
  schedule {registry.name_of(type(model.denoiser.process.schedule))};
  predicts {about.get("parameterisation", {"name": "tokens"})["name"]}
- trained for {record.get("step", "?")} steps of {record.get("batch", "?")} (seed {record.get("seed", "?")})
- weights: safetensors, SHA-256 `{about["weights"]["sha256"]}`

## Use

    reverie sample THIS_FOLDER -n 16 --seed 0

    import reverie
    {things} = reverie.load("THIS_FOLDER").sample(16, seed=0)

## Limits

It knows only what was in its training data, and may reproduce {things} of it: read the copying audit in the run's report
before sharing samples as new. No licence is stated here: that of the training data decides.
"""
