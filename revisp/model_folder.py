"""The model folder: ``config.json``, ``model.safetensors`` and ``README.md`` (a model card). No pickles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, with_config
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from typing_extensions import TypedDict

import revisp
from revisp.backbones.weights import check_values
from revisp.camera.profile import Profile
from revisp.cfa import CFA
from revisp.errors import ConfigError, OutputError, WeightsError
from revisp.io.atomic import NOT_UTF8, remove_unfinished, replace_folder, unfinished_folder
from revisp.io.boundary import decoding
from revisp.pipeline import ReverseISP
from revisp.pipeline.build import Base, Branches
from revisp.pipeline.outline import outline
from revisp.schema import Flag, Json, Text, Whole, build, check_fields, one_of, parse_file

__all__ = [
    "DEFAULT",
    "DEFAULT_MODEL",
    "by_present_names",
    "from_pretrained",
    "model_files",
    "require_replaceable",
    "save_pretrained",
]

T = TypeVar("T")

DEFAULT = "default"
"""Name of the small model in the package, wherever a model folder is taken."""

DEFAULT_MODEL = Path(__file__).resolve().parent / "weights" / "default"
"""Folder of the small model in the package: photos of any camera to the RAW of the canonical sensor."""

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
FOLDER_FILES = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
FOLDER_FORMAT = 1
CARD_TITLE = "# revisp model"

LARGEST_ARGUMENT = 4096
"""Greatest number among the arguments of a pipeline: widths double with each level of a depth."""

_RENAMED = {"base.share": "base.trust"}
"""Tensors that earlier model folders and checkpoints hold under another name."""

_FOREIGN = ("weights", "pretrained", "checkpoint", "path", "cache", "url")
"""Parts of the names of arguments by which a network would read other files, or the network."""


def _own(arguments: dict[str, Any]) -> dict[str, Any]:
    """Require arguments that lead to no file outside the folder and to no address, and have no huge numbers."""
    for name, value in arguments.items():
        if value is not None and any(word in name.lower() for word in _FOREIGN):
            raise ValueError(f"must not have {name!r}: a model folder holds its own weights")
        _require_small(name, value)
    return arguments


def _require_small(name: str, value: Any) -> None:
    if isinstance(value, dict):
        _own(value)
    for item in value if isinstance(value, list) else ():
        _require_small(name, item)
    if isinstance(value, str) and any(mark in value for mark in "/\\:"):
        raise ValueError(f"must not name a file or an address, as {name!r} does")
    if isinstance(value, int | float) and abs(value) > LARGEST_ARGUMENT:
        raise ValueError(f"must not have {name!r} above {LARGEST_ARGUMENT}")


def save_pretrained(
    model: ReverseISP,
    folder: str | Path,
    *,
    card: str = "",
    metrics: dict[str, float] | None = None,
    half: bool = False,
) -> Path:
    """Write a model folder completely, or not at all. Hidden folders that killed calls left beside it are removed.

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
    require_replaceable(folder)
    state = {
        name: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    pipeline = {**model.config, "backbone_kwargs": {**model.config["backbone_kwargs"]}}
    pipeline["backbone_kwargs"].pop("encoder_weights", None)  # else loading would download initial weights
    config = {"format": FOLDER_FORMAT, "revisp": revisp.__version__, "pipeline": pipeline}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder.parent, FOLDER_FILES)
        with unfinished_folder(folder.parent) as temporary:
            save_file(state, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
            (temporary / WEIGHTS_FILE).chmod(0o644)
            (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
            (temporary / CARD_FILE).write_text(_card(model, card, metrics or {}), "utf-8", NOT_UTF8)
            if folder.exists():
                replace_folder(temporary, folder.resolve())
            else:
                temporary.replace(folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise OutputError(f"cannot write the model folder {folder}: {error}") from error
    return folder


def require_replaceable(folder: Path) -> None:
    """Require that nothing is lost when `save_pretrained` replaces a folder.

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
        if strange := next((name for name in _not_ours(folder)), None):
            raise OutputError(f"{folder} holds a {strange} that revisp did not write: choose another name")
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder} exists and cannot be replaced ({error}): choose another name") from error


def _not_ours(folder: Path) -> Iterator[str]:
    """Yield the names in a folder that are not files as `save_pretrained` writes them."""
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            yield path.name
        elif path.name == CARD_FILE:
            with path.open("rb") as file:
                if file.read(len(CARD_TITLE)) != CARD_TITLE.encode():
                    yield path.name
        elif path.name == WEIGHTS_FILE and not (folder / CONFIG_FILE).is_file():
            yield path.name
        elif path.name == CONFIG_FILE:
            values = parse_file(path)
            if not isinstance(values, dict) or set(values) != {"format", "revisp", "pipeline"}:
                yield path.name


def model_files(folder: str | Path | None = None) -> tuple[Path, ...]:
    """Return the files of a model folder that decide what it predicts.

    Args:
        folder: as for `from_pretrained`.

    Example:
        >>> [path.name for path in model_files("default")]
        ['config.json', 'model.safetensors']
    """
    return tuple(_place(folder) / name for name in (CONFIG_FILE, WEIGHTS_FILE))


def _place(folder: str | Path | None) -> Path:
    return DEFAULT_MODEL if folder is None or str(folder) == DEFAULT else Path(folder)


def from_pretrained(folder: str | Path | None = None) -> ReverseISP:
    """Load a pipeline from a model folder, in evaluation mode, on the CPU.

    Args:
        folder: a folder that training or `save_pretrained` wrote; ``"default"`` or None: the small model in the
            package. Write ``"./default"`` for a folder of your own with the name ``default``.

    Raises:
        WeightsError: the folder or one of its files is missing or damaged, the weights do not fit the config or
            hold NaN, the config names files outside the folder, or the network is larger than
            `revisp.limits.max_parameters`.

    Example:
        >>> model = from_pretrained()
        >>> model.cfa, model.training
        (<CFA.RGGB: 'RGGB'>, False)
    """
    folder = _place(folder)
    with decoding(folder, raises=WeightsError):
        if not folder.is_dir():
            fault = "a file, not a model folder" if folder.exists() else "no such model folder"
            raise WeightsError(f"{folder}: {fault}; it must hold {CONFIG_FILE} and {WEIGHTS_FILE}")
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise WeightsError(f"{folder}: {name} is missing, so this is not a whole model folder")
    pipeline = _read_config(folder / CONFIG_FILE)
    weights = folder / WEIGHTS_FILE
    with decoding(weights, "damaged or not a safetensors file", WeightsError), safe_open(weights, "pt") as file:
        found = {
            name: tuple(file.get_slice(name).get_shape())
            for name in file.keys()  # noqa: SIM118
        }
        found = by_present_names(found)
    with decoding(folder / CONFIG_FILE, "no pipeline can be built of it", WeightsError):
        try:
            expected = outline(pipeline)
        except ConfigError as error:
            raise WeightsError(f"{folder / CONFIG_FILE}: {error}") from error
        _check_fit(expected, found, weights)  # so the weights bound the memory of the model
        model = ReverseISP(**pipeline)
    with decoding(weights, "damaged or not a safetensors file", WeightsError):
        state = by_present_names(load_file(weights))
    check_values(state, model.state_dict(), weights)
    model.load_state_dict(state)
    return model.eval()


def by_present_names(tensors: Mapping[str, T], prefix: str = "") -> dict[str, T]:
    """Return the tensors of a pipeline, or facts of them, by the names that they have in this version.

    Args:
        tensors: by the names of the version that wrote them.
        prefix: what stands before the pipeline's own names.

    Example:
        >>> by_present_names({"model.base.share": 1, "model.weight": 2}, "model.")
        {'model.base.trust': 1, 'model.weight': 2}
    """
    present = {prefix + old: prefix + new for old, new in _RENAMED.items()}
    return {present.get(name, name): value for name, value in tensors.items()}


Arguments = Annotated[dict[Text, Json], AfterValidator(_own)]


@with_config(ConfigDict(extra="forbid"))
class _Pipeline(TypedDict, total=False):
    """Arguments of `ReverseISP`; those that are left out have their default."""

    backbone: Text
    backbone_kwargs: Arguments
    branches: Branches
    mask_channel: Flag
    gain_channel: Flag
    place: Flag
    base: Base | None
    mask: Arguments
    fusion: Arguments
    refine: Arguments | None
    padding: Literal["reflect", "ones4"]
    cfa: Annotated[Text, one_of([cfa.value for cfa in CFA])] | None
    profile: Profile | None


@dataclass(frozen=True)
class _Config:
    """The content of `CONFIG_FILE`."""

    format: Whole
    pipeline: _Pipeline
    revisp: Text = ""

    def __post_init__(self) -> None:
        check_fields(self, "", WeightsError)


def _read_config(path: Path) -> _Pipeline:
    """Return the arguments of the pipeline.

    Raises:
        WeightsError: the file is damaged, of another format, or names files or addresses.
    """
    fault = "damaged or not the config of a model folder"
    with decoding(path, fault, WeightsError):
        values = parse_file(path)
    version = values.get("format") if isinstance(values, dict) else None
    if isinstance(version, int) and version != FOLDER_FORMAT:
        shown = ascii(version)[:20] if abs(version) < 2**63 else "unknown"
        raise WeightsError(f"{path}: format {shown}, but this revisp reads format {FOLDER_FORMAT}: update revisp")
    try:
        return build(_Config, values, "", WeightsError).pipeline
    except WeightsError as error:
        raise WeightsError(f"{path}: {fault} ({error})") from error


def _check_fit(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Name the first tensor that is missing, unexpected or misshapen."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise WeightsError(f"{path}: tensor {name} is missing, so the weights do not fit {CONFIG_FILE}")
        if name not in expected:
            raise WeightsError(f"{path}: unexpected tensor {name}, so the weights do not fit {CONFIG_FILE}")
        if expected[name] != found[name]:
            shapes = f"{list(found[name])}, {CONFIG_FILE} needs {list(expected[name])}"
            raise WeightsError(f"{path}: tensor {name} has shape {shapes}")


def _card(model: ReverseISP, body: str, metrics: dict[str, float]) -> str:
    config: dict[str, Any] = model.config
    parameters = sum(p.numel() for p in model.parameters())
    camera = "not stated" if model.profile is None else model.profile.name
    lines = [
        CARD_TITLE,
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
