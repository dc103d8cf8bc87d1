"""Find and compose the configuration in ``conf/``.

A checkout has the tree next to the package. A wheel has it inside the package. Users may write ``backbone=unet``
or ``+backbone=unet``. Hydra itself accepts the plus only for a group that the defaults list does not contain.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from revisp.backbones import BACKBONES, family
from revisp.data import DATASETS
from revisp.errors import ConfigError, UnknownNameError, near_miss
from revisp.io.boundary import decoding
from revisp.registry import Registry
from revisp.schema import DEEPEST, Json, Text, Whole, validated

__all__ = [
    "as_dict",
    "check_choices",
    "compose",
    "config_dir",
    "data_of_run",
    "expose_plugins",
    "normalise_overrides",
]

MOST_YAML = 2**16
"""Most bytes of the configuration of a training."""

OWN_FOLDER = ("--config-dir", "-cd", "--config-path", "-cp", "hydra.searchpath")
"""Words of the command line that add a folder of the user's own configuration files."""

OWN_TEXTS = frozenset(
    {
        *("model", "photos", "camera", "prediction", "truth", "submissions", "truths", "inputs"),
        *("pretrained", "resume", "hydra.run.dir", "hydra.sweep.dir"),
    }
)
"""Settings of the commands themselves that are names of files or folders."""

REGISTRIES: dict[str, Registry[Any]] = {"backbone": BACKBONES, "data": DATASETS}
"""Groups whose keys are arguments of a registered component, which plugins may bring."""

ITEM = re.compile(r"(?<![^\[,])[^\[\],]+(?![^\],])")
"""A value of the command line, or one of a list or a sweep of them."""

BROUGHT = ("backbone", "pipeline", "mask", "fusion", "refine")
"""Groups that a pretrained model brings."""


def config_dir() -> Path:
    """Return the absolute path of the configuration tree (installed package or checkout).

    Raises:
        ConfigError: neither place holds the tree; the installation is broken.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"no conf/train.yaml in {package} or in its parent folder: reinstall revisp")


@functools.cache
def config_groups(config_name: str = "train") -> frozenset[str]:
    """Return the groups in the defaults list of a primary config."""
    primary = OmegaConf.to_container(OmegaConf.load(config_dir() / f"{config_name}.yaml"))
    assert isinstance(primary, dict)
    defaults = (entry for entry in primary.get("defaults", []) if isinstance(entry, dict))
    return frozenset(str(key) for entry in defaults for key in entry)


def normalise_overrides(overrides: Sequence[str], config_name: str = "train") -> list[str]:
    """Drop the leading plus of ``+GROUP=...`` where GROUP is already in the defaults list, and quote names.

    Hydra reads a name such as ``2024_11`` as the number 202411. Names are the settings `OWN_TEXTS`, and the
    arguments of a data set or network that are annotated as texts (`Registry.texts`). Everything else
    (``+new.key=1``, ``++seed=2``, ``~logger``, flags) is left as it is.

    Raises:
        ConfigError: one of these names is empty.

    Example:
        >>> normalise_overrides(["+backbone=unet", "+trainer.fast_dev_run=true", "resume=2024_11"])
        ['backbone=unet', '+trainer.fast_dev_run=true', "resume='2024_11'"]
    """
    groups = config_groups(config_name)
    normal = []
    for token in overrides:
        group = token[1:].partition("=")[0].partition("@")[0]
        is_group = token.startswith("+") and not token.startswith("++") and "=" in token and group in groups
        normal.append(token[1:] if is_group else token)
    return [_quoted(token, normal, config_name) for token in normal]


def _quoted(token: str, overrides: Sequence[str], config_name: str) -> str:
    """Quote what Hydra would read as a number in the value of a setting that is a text."""
    key, equals, value = token.partition("=")
    group, _, argument = key.lstrip("+").partition(".")
    own = f"{group}.{argument}" in OWN_TEXTS or (not argument and group in OWN_TEXTS)
    if not (own or group in REGISTRIES) or any(quote in value for quote in "'\""):
        return token
    quoted = ITEM.sub(lambda found: _quoted_number(found[0]), value)
    if (value and quoted == value) or not equals or key.startswith("-"):
        return token
    if not (own or argument in _texts(group, overrides, config_name)):
        return token
    if not value:
        raise ConfigError(f"{token} names nothing: give a name, or leave it out")
    return key + equals + quoted


def _texts(group: str, overrides: Sequence[str], config_name: str) -> set[str]:
    """Return the arguments that are texts, of the components of a group that the words choose."""
    chosen = [
        [f"{key}={choice}" for choice in value.split(",")]
        for key, _, value in (token.partition("=") for token in overrides)
        if key.lstrip("+") in {*config_groups(config_name), f"{group}.name"}
    ]
    folders = _search_path(overrides)
    sweep = itertools.product(*chosen)
    names = {_component(group, (*words, *folders), config_name) for words in sweep} & set(REGISTRIES[group])
    return set().union(*map(REGISTRIES[group].texts, names))


@functools.lru_cache(64)  # a benchmark composes each training of a plan
def _component(group: str, choices: tuple[str, ...], config_name: str) -> str:
    """Return the name of the component that a configuration has in a group; an empty text if there is none."""
    try:
        cfg = _composed([*choices], config_name)
    except (HydraException, OmegaConfBaseException):  # the command will tell
        return ""
    return family(str((cfg.get(group) or {}).get("name", "")))[0]


def _search_path(overrides: Sequence[str]) -> list[str]:
    """Return the words for `compose` that stand for ``--config-dir``, an option of commands alone."""
    following = itertools.pairwise([*overrides, ""])
    folders = [after for word, after in following if word in ("--config-dir", "-cd")]
    folders += [token.partition("=")[2] for token in overrides if token.startswith("--config-dir=")]
    own = [token for token in overrides if token.startswith("hydra.searchpath=")]
    return own + [f"hydra.searchpath=[{str(Path(folder).absolute())!r}]" for folder in folders[-1:]]


def _quoted_number(item: str) -> str:
    try:
        value = OverridesParser.create().parse_rule(item.strip(), "primitive")
    except HydraException:
        return item
    return f"'{item.strip()}'" if isinstance(value, int | float) and not isinstance(value, bool) else item


def check_choices(overrides: Sequence[str], config_name: str = "train") -> None:
    """Refuse ``GROUP=choice`` if the choice does not exist, and name near misses.

    Nothing is checked if the words add a configuration folder of the user's own: only Hydra knows its choices.

    Raises:
        UnknownNameError: no such choice.
        ConfigError: a pretrained model is named, and beside it a part that it brings.
    """
    if any(token.startswith(OWN_FOLDER) for token in overrides):
        return
    _check_pretrained(overrides)
    for token in overrides:
        group, _, value = token.partition("=")
        if group not in config_groups(config_name):
            continue
        known = {path.stem for path in (config_dir() / group).glob("*.yaml")}
        known |= set(REGISTRIES[group].names()) if group in REGISTRIES else set()
        for choice in value.split(","):
            if known and choice not in known | {"null"} and choice.isidentifier():
                raise UnknownNameError(near_miss(group, choice, sorted(known)))


def _check_pretrained(overrides: Sequence[str]) -> None:
    """Refuse words for the parts that a pretrained model brings."""
    settings = {key.lstrip("+"): value for key, _, value in (token.partition("=") for token in overrides)}
    if settings.get("pretrained", "null") in ("null", ""):
        return
    for key in settings:
        if key.partition(".")[0] in BROUGHT:
            raise ConfigError(f"pretrained={settings['pretrained']} brings its own {key}: leave {key} out")


def expose_plugins(overrides: Sequence[str] = ()) -> None:
    """Make networks and data sets without a YAML file known to Hydra by name.

    They come from plugins and notebooks, or are networks with a name such as ``smp:FPN``.

    Args:
        overrides: words of the command line, which are searched for names such as ``smp:FPN``.
    """
    store = ConfigStore.instance()
    for name in {name for token in overrides if token.startswith("backbone=") for name in token[9:].split(",")}:
        head, arguments = family(name)
        if arguments:
            node = OmegaConf.load(config_dir() / "backbone" / f"{head}.yaml")
            store.store(group="backbone", name=name, node=OmegaConf.merge(node, arguments))
    for group, registry in REGISTRIES.items():
        for name in registry.names():
            if not (config_dir() / group / f"{name}.yaml").is_file():
                store.store(group=group, name=name, node={"name": name})


def compose(overrides: Sequence[str] = (), config_name: str = "train") -> DictConfig:
    """Compose a configuration from the words that the command takes.

    Args:
        overrides: for example ``["+backbone=unet", "trainer.max_epochs=1"]``.
        config_name: the primary config: ``"train"``, ``"benchmark"`` or ``"evaluate"``.

    Returns:
        The configuration; ``run_dir`` is resolved to the folder that ``hydra.run.dir`` names.

    Raises:
        ConfigError: not a list of words, or an unknown choice or key.

    Example:
        >>> cfg = compose(["+backbone=unet", "backbone.width=8"])
        >>> cfg.backbone.name, cfg.backbone.width, cfg.pipeline.branches
        ('unet', 8, 'separate')
    """
    listed = isinstance(overrides, Sequence) and not isinstance(overrides, str)
    if not listed or not all(isinstance(word, str) for word in overrides):
        raise ConfigError(f"overrides must be a list of words, such as ['backbone=unet'], got {overrides!r}")
    tokens = normalise_overrides(overrides, config_name)
    check_choices(tokens, config_name)
    try:
        cfg = _composed(tokens, config_name)
        run_dir = Path(cfg.hydra.run.dir).absolute()
        with open_dict(cfg):
            cfg.run_dir = str(run_dir)
            del cfg["hydra"]
        return cfg
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(" ".join(str(error).split())) from error


def _composed(tokens: list[str], config_name: str) -> DictConfig:
    """Return what Hydra composes, with its own settings."""
    expose_plugins(tokens)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return hydra_compose(config_name, overrides=tokens, return_hydra_config=True)


def as_dict(node: Any) -> dict[str, Any]:
    """Return a configuration node as a dictionary of Python values; an unset node as an empty dictionary.

    Example:
        >>> as_dict(compose().mask)["kind"]
        'luma'
    """
    values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else {}
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def data_of_run(folder: str | Path) -> dict[str, Any]:
    """Return the arguments of `revisp.data.create_data` for the data of a training.

    Args:
        folder: its run folder, in which Hydra left the configuration.

    Raises:
        ConfigError: the configuration is missing or damaged, or refers to other values (``${...}``), such as
            variables of the environment.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, ".hydra").mkdir()
        ...     OmegaConf.save(compose(), Path(folder, ".hydra", "config.yaml"))
        ...     data_of_run(folder)["name"]
        'embedded'
    """
    path = Path(folder, ".hydra", "config.yaml")
    fault = "not the configuration of a training"
    with decoding(path, fault, ConfigError):
        values = _plain_yaml(path.open("rb"))
    run = validated(_RUN, values, f"{path}: {fault}", ConfigError)
    return {**run["data"], "seed": run["seed"], "demosaic": run["demosaic"]}


def _plain_yaml(file: BinaryIO) -> Any:
    """Return the values of a YAML file.

    Raises:
        ValueError: it is too large, is nested too deeply (which takes the parser hours), or has an alias (a few of
            which can stand for gigabytes).
    """
    with file:
        text = file.read(MOST_YAML + 1)
    if len(text) > MOST_YAML:
        raise ValueError(f"more than {MOST_YAML} bytes")
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not read")
    return yaml.safe_load(text)


def _settled(value: Any) -> Any:
    """Require values that refer to no others: Hydra would put variables of the environment in their place."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _settled(item)
    if isinstance(value, str) and "${" in value:
        raise ValueError("must not refer to other values")
    return value


def _named(values: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(values.get("name"), str):
        raise ValueError("must have the name of a data set")
    return values


_Settings = Annotated[dict[Text, Annotated[Json, AfterValidator(_settled)]], Field(max_length=1000)]


class _Run(TypedDict):
    """What is read of the configuration of a training."""

    data: Annotated[_Settings, AfterValidator(_named)]
    seed: Whole
    demosaic: _Settings


_RUN = TypeAdapter(_Run)
