"""The model folder: ``config.json``, ``model.safetensors`` and ``README.md`` (a model card). No pickles."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import revisp
from revisp.errors import OutputError, RevispError, WeightsError
from revisp.io.atomic import replace_folder
from revisp.pipeline import ReverseISP

__all__ = ["DEFAULT", "DEFAULT_MODEL", "from_pretrained", "save_pretrained"]

DEFAULT = "default"
"""Name of the small model in the package, wherever a model folder is taken."""

DEFAULT_MODEL = Path(__file__).resolve().parent / "weights" / "default"
"""Folder of the small model in the package: photos of any camera to the RAW of the canonical sensor."""

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
FOLDER_FILES = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
FOLDER_FORMAT = 1


def save_pretrained(
    model: ReverseISP,
    folder: str | Path,
    *,
    card: str = "",
    metrics: dict[str, float] | None = None,
    half: bool = False,
) -> Path:
    """Write a model folder completely, or not at all.

    Args:
        model: the pipeline.
        folder: the folder to write; an existing model folder that holds nothing else is replaced.
        card: Markdown body of the model card: data, camera, recipe, licence.
        metrics: validation figures to put on the card.
        half: store weights as float16 (half the size; they load as float32).

    Returns:
        The folder.

    Raises:
        OutputError: the folder cannot be written, or the path exists and is not a model folder.

    Example:
        >>> import tempfile
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = save_pretrained(model, Path(folder) / "model", metrics={"val/psnr": 27.9})
        ...     print(sorted(path.name for path in saved.iterdir()))
        ['README.md', 'config.json', 'model.safetensors']
    """
    folder = Path(folder)
    _require_replaceable(folder)
    state = {
        name: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    pipeline = {**model.config, "backbone_kwargs": {**model.config["backbone_kwargs"]}}
    pipeline["backbone_kwargs"].pop("encoder_weights", None)  # else loading would download initial weights
    config = {"format": FOLDER_FORMAT, "revisp": revisp.__version__, "pipeline": pipeline}
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        temporary.chmod(0o755)
        save_file(state, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        (temporary / WEIGHTS_FILE).chmod(0o644)
        (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
        (temporary / CARD_FILE).write_text(_card(model, card, metrics or {}))
        if folder.exists():
            replace_folder(temporary, folder.resolve())
        else:
            temporary.replace(folder)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write the model folder {folder}: {error}") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _require_replaceable(folder: Path) -> None:
    """Require that nothing is lost when a folder is replaced.

    Raises:
        OutputError: it is a file, or holds files that are not those of a model folder.
    """
    try:
        if not folder.exists():
            return
        foreign = (
            [] if not folder.is_dir() else sorted({each.name for each in folder.iterdir()} - set(FOLDER_FILES))
        )
        if not folder.is_dir() or foreign:
            held = f" (it holds {foreign[0]})" if foreign else ""
            raise OutputError(f"{folder} exists and is not a model folder{held}: choose another name")
        if any(folder.iterdir()):
            values = json.loads((folder / CONFIG_FILE).read_text())
            if not isinstance(values, dict) or not {"format", "revisp", "pipeline"} <= set(values):
                raise OutputError(f"{folder} holds a {CONFIG_FILE} that revisp did not write: choose another name")
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{folder} exists and cannot be replaced ({error}): choose another name") from error


def from_pretrained(folder: str | Path | None = None) -> ReverseISP:
    """Load a pipeline from a model folder, in evaluation mode, on the CPU.

    Args:
        folder: a folder that training or `save_pretrained` wrote; ``"default"`` or None: the small model in the
            package. Write ``"./default"`` for a folder of your own with the name ``default``.

    Raises:
        WeightsError: the folder or one of its files is missing or damaged, or the weights do not fit the config.

    Example:
        >>> model = from_pretrained()
        >>> model.cfa, model.training
        (<CFA.RGGB: 'RGGB'>, False)
    """
    folder = DEFAULT_MODEL if folder is None or str(folder) == DEFAULT else Path(folder)
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such model folder; it must hold {CONFIG_FILE} and {WEIGHTS_FILE}")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise WeightsError(f"{folder}: {name} is missing, so this is not a whole model folder")
    model = _build(folder / CONFIG_FILE)
    try:
        state = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE}: damaged or not a safetensors file ({error})") from error
    _check_fit(model.state_dict(), state, folder / WEIGHTS_FILE)
    model.load_state_dict(state)
    return model.eval()


def _build(path: Path) -> ReverseISP:
    try:
        config = json.loads(path.read_text())
        pipeline = dict(config["pipeline"])
        version = config["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: damaged or not the config of a model folder ({error!r})") from error
    if version != FOLDER_FORMAT:
        raise WeightsError(
            f"{path}: format {version}, but this revisp reads format {FOLDER_FORMAT}: update revisp"
        )
    try:
        return ReverseISP(**pipeline)
    except (RevispError, TypeError) as error:
        raise WeightsError(f"{path}: {error}") from error


def _check_fit(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor], path: Path) -> None:
    """Name the first tensor that is missing, unexpected or misshapen."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise WeightsError(f"{path}: tensor {name} is missing, so the weights do not fit {CONFIG_FILE}")
        if name not in expected:
            raise WeightsError(f"{path}: unexpected tensor {name}, so the weights do not fit {CONFIG_FILE}")
        if expected[name].shape != found[name].shape:
            shapes = f"{list(found[name].shape)}, {CONFIG_FILE} needs {list(expected[name].shape)}"
            raise WeightsError(f"{path}: tensor {name} has shape {shapes}")


def _card(model: ReverseISP, body: str, metrics: dict[str, float]) -> str:
    config: dict[str, Any] = model.config
    parameters = sum(p.numel() for p in model.parameters())
    camera = "not stated" if model.profile is None else model.profile.name
    lines = [
        "# revisp model",
        "",
        "Maps an sRGB photo to the RAW mosaic of one camera (overexposure mask fusion, Kim, Jiang, Gu, AIM 2022).",
        "",
        f"- backbone: `{config['backbone']}` {json.dumps(config['backbone_kwargs'])}",
        f"- branches: {config['branches']}",
        f"- parameters: {parameters:,}",
        f"- camera: {camera}, CFA {model.cfa}",
        f"- made by revisp {revisp.__version__}",
        "",
        body.strip(),
        "",
    ]
    if metrics:
        lines += ["| figure | value |", "| --- | --- |"]
        lines += [f"| {name} | {value:.4f} |" for name, value in metrics.items()]
    return "\n".join(lines).rstrip() + "\n"
