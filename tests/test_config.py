"""The configuration tree: every spelling, every choice, and clear words for wrong ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from revisp.backbones import BACKBONES
from revisp.config import compose, config_dir, config_groups, normalise_overrides
from revisp.data import DATASETS
from revisp.errors import ConfigError, UnknownNameError
from revisp.evaluation.run import MODES
from revisp.losses import PlainLoss
from revisp.losses.base import GIVEN, LOSSES
from revisp.pipeline import ReverseISP
from revisp.training.estimate import EstimateTraining

CHOICES = [
    f"{path.parent.name}={path.stem}"
    for path in sorted(config_dir().glob("*/*.yaml"))
    if "???" not in path.read_text()  # needs a folder
]


def test_both_spellings_and_none_compose_alike() -> None:
    plain, with_plus, bare = (compose(words) for words in (["backbone=unet"], ["+backbone=unet"], []))
    assert plain.backbone == with_plus.backbone == bare.backbone
    assert plain.backbone.name == "unet"


def test_only_groups_of_the_defaults_list_lose_their_plus() -> None:
    kept = ["++seed=2", "+trainer.fast_dev_run=true", "~logger", "-m", "+new=1"]
    words = ["+backbone=a,b", "+backbone@other=unet"]
    assert normalise_overrides([*words, *kept]) == [*(word[1:] for word in words), *kept]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("data.root=2024_11", "2024_11"),
        ("data.root=2024", "2024"),
        ("++data.root=1e5", "1e5"),
        ("data.root=2024-11", "2024-11"),
        ("data.root=photos/2024_11", "photos/2024_11"),
        ("data.root='2024_11'", "2024_11"),
        ("data.val=[2024_11, IMG_1,0101, 12]", ["2024_11", "IMG_1", "0101", "12"]),
        ("data.val=null", None),
        ("data.crops_per_epoch=1_000", 1000),
        ("data.val_tiles=8", 8),
    ],
)
def test_names_that_look_like_numbers_stay_names(word: str, value: object) -> None:
    key = word.lstrip("+").partition("=")[0]
    cfg = compose(["data=prepared", "data.root=somewhere", word])
    assert OmegaConf.to_container(cfg.data)[key.removeprefix("data.")] == value


def test_a_run_folder_named_by_a_date_keeps_its_name() -> None:
    assert Path(compose(["hydra.run.dir=2024_11"]).run_dir).name == "2024_11"


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["data=simulated"], ["photos", "camera", "val", "cache"]),
        (["data=scenes"], ["scenes", "photos", "val", "cache", "camera", "pairs"]),
        (["experiment=default"], ["scenes"]),
    ],
)
def test_every_path_of_a_data_set_may_be_a_name_of_digits(words: list[str], keys: list[str]) -> None:
    cfg = compose([*words, *(f"data.{key}=2024_11" for key in keys)])
    assert [cfg.data[key] for key in keys] == ["2024_11"] * len(keys)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set and a network of somebody else."""

    def shelves(*, shelf: str | Path, labels: Sequence[str] | None = None, rows: int = 3) -> None:
        raise NotImplementedError

    def lookup(in_channels: int, out_channels: int, *, table: Path | None = None, width: int = 3) -> None:
        raise NotImplementedError

    for registry, factory in ((DATASETS, shelves), (BACKBONES, lookup)):
        monkeypatch.setitem(registry._factories, factory.__name__, factory)


@pytest.mark.usefixtures("plugin")
def test_paths_of_plugins_may_be_names_of_digits(tmp_path: Path) -> None:
    cfg = compose(["data=shelves", "+data.shelf=2024_11", "+data.labels=[1_2,b]", "+data.rows=1_0"])
    assert (cfg.data.shelf, list(cfg.data.labels), cfg.data.rows) == ("2024_11", ["1_2", "b"], 10)
    cfg = compose(["backbone=lookup", "+backbone.table=0101", "+backbone.width=1_0"])
    assert (cfg.backbone.table, cfg.backbone.width) == ("0101", 10)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("name: shelves\nshelf: ???\n")
    words = ["--config-dir", str(tmp_path), "data=mine", "data.shelf=12,2024_11"]
    assert normalise_overrides(words)[-1] == "data.shelf='12','2024_11'"


def test_the_settings_of_every_mode_of_an_evaluation_may_be_names_of_digits() -> None:
    settings = frozenset().union(*(mode.needs | mode.takes for mode in MODES.values()))
    paths = settings - {"cycle", "submission", "blind", "data"}
    cfg = compose([f"{key}=2024_11" for key in paths], "evaluate")
    assert {cfg[key] for key in paths} == {"2024_11"}


def test_each_name_of_a_sweep_stays_a_name() -> None:
    words = ["data=prepared", "data.root=2024_11,b,3"]
    assert normalise_overrides(words)[-1] == "data.root='2024_11',b,'3'"
    words = ["data=simulated,prepared", "data.camera=1,2", "data.crop=1_0,20"]
    assert normalise_overrides(words)[1:] == ["data.camera='1','2'", "data.crop=1_0,20"]


@pytest.mark.parametrize("words", ["data=prepared", ["seed=1", 2], None])
def test_words_that_are_no_list_of_texts_are_refused(words: object) -> None:
    with pytest.raises(ConfigError, match=r"must be a list of words, such as \['backbone=unet'\], got "):
        compose(words)  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [["data=prepared", "data.root="], ["resume="], ["hydra.run.dir="]])
def test_an_empty_name_is_not_the_current_folder(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"^{words[-1]} names nothing: give a name"):
        compose(words)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes(choice: str) -> None:
    recipe = (config_dir() / f"{choice.replace('=', '/')}.yaml").read_text()
    root = ["data.root=somewhere"] if "override /data: prepared" in recipe else []
    scenes = ["data.scenes=somewhere"] if choice.startswith("experiment=default") else []
    cfg = compose([choice, *root, *scenes])
    assert OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


RECIPES = [path.stem for path in sorted((config_dir() / "experiment").glob("*_native.yaml"))]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_published_recipe_is_of_the_published_network(recipe: str) -> None:
    """Its arguments leave the network as published; its loss fits the network, and has a term."""
    name = recipe.removesuffix("_native")
    cfg = compose([f"experiment={recipe}", "data.root=somewhere"])
    assert (cfg.backbone.name, cfg.pipeline.branches, cfg.data.name) == (name, "plain", "prepared")
    settings = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    with torch.device("meta"):
        model = ReverseISP(
            name,
            backbone_kwargs={k: v for k, v in settings["backbone"].items() if k != "name"},
            **settings["pipeline"],
        )
    spec = BACKBONES.spec(name)
    if spec.in_channels == 3 + cfg.pipeline.mask_channel:
        assert sum(p.numel() for p in model.parameters()) == spec.parameters
    loss = settings["loss"]["plain"]
    assert loss["target"] == "bayer" or not model.packed
    needs = PlainLoss(**{**loss, "terms": {k: v for k, v in loss["terms"].items() if k != "lpips"}}).needs
    assert needs - GIVEN <= set(spec.auxiliary)


def test_an_architecture_of_smp_is_named_after_a_colon() -> None:
    cfg = compose(["+backbone=smp:FPN"])
    assert (cfg.backbone.name, cfg.backbone.arch) == ("smp", "FPN")
    assert cfg.backbone == compose(["backbone=smp", "backbone.arch=FPN"]).backbone
    assert compose(["backbone=smp:FPN", "backbone.encoder_name=resnet18"]).backbone.encoder_name == "resnet18"


def test_every_group_of_the_tree_is_in_the_defaults_list() -> None:
    folders = {path.name for path in config_dir().iterdir() if path.is_dir()}
    assert folders == config_groups()


def test_every_loss_is_a_term_that_a_setting_can_turn_on() -> None:
    """A loss of the package stands once in ``conf/loss/terms``, whence every loss section takes it."""
    losses = [name for name in LOSSES if LOSSES.plugin(name) is None and not name.startswith("_")]
    for choice in ("default", "perceptual"):
        loss = compose([f"loss={choice}"]).loss
        assert [sorted(loss[part].terms) for part in ("oe", "noe", "plain")] == [losses] * 3


def test_every_network_of_the_catalogue_has_its_file() -> None:
    factories = {name: BACKBONES.get(name) for name in BACKBONES}
    own = {  # a doctest's class has a module of ours, but does not stand in it
        name
        for name, factory in factories.items()
        if factory.__module__.startswith("revisp.") and hasattr(sys.modules[factory.__module__], factory.__name__)
    }
    files = {path.stem: path.read_text() for path in (config_dir() / "backbone").glob("*.yaml")}
    assert own == set(files)
    assert [name for name, text in files.items() if f"\nname: {name}\n" not in text] == []
    assert [name for name, text in files.items() if not text.startswith("# ")] == []  # say what the network is


def test_the_paper_recipe_is_the_papers() -> None:
    cfg = compose(["experiment=paper", "data.root=somewhere"])
    assert (cfg.backbone.width, cfg.backbone.depth, cfg.backbone.norm) == (64, 5, "batch")
    assert cfg.trainer.max_epochs == 220
    assert cfg.mask.threshold == 0.978
    assert cfg.loss.oe.terms.lpips.weight > 0


@pytest.mark.parametrize("recipe", ["default", "default_large"])
def test_the_default_recipes_stand_on_an_estimated_base(recipe: str) -> None:
    cfg = compose([f"experiment={recipe}", "data.scenes=somewhere"])
    assert (cfg.pipeline.base, cfg.data.name, cfg.backbone.name) == ("estimated", "scenes", "unet")
    EstimateTraining(**cfg.estimate)
    assert cfg.loss.oe.terms.hard_log.weight == 1
    assert cfg.loss.oe.terms.l1 is None
    assert cfg.estimate.views > compose().estimate.views or recipe == "default"


def test_the_run_folder_is_absolute_and_can_be_chosen(tmp_path: Path) -> None:
    assert compose([f"hydra.run.dir={tmp_path}/x"]).run_dir == str(tmp_path / "x")
    assert Path(compose().run_dir).is_absolute()


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["+backbone=unett"], UnknownNameError, "did you mean 'unet'"),
        (["+mask=lumma"], UnknownNameError, "'luma'"),
        (["trainer.max_epoch"], ConfigError, "max_epoch"),
        (["sed=1"], ConfigError, "sed"),
    ],
)
def test_wrong_words_are_named_in_one_line(words: list[str], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        compose(words)
    assert "\n" not in str(caught.value)
