"""Which trainings a benchmark consists of."""

from __future__ import annotations

import pytest

from revisp.benchmark.plan import plan_cells
from revisp.camera.simulate import SIMULATED
from revisp.config import as_dict, compose, config_dir
from revisp.errors import ConfigError
from revisp.training.build import build_loss, build_model


def test_every_backbone_meets_every_pipeline_data_set_and_seed(settings) -> None:
    cells = plan_cells(
        settings(
            'backbones=[unet,"mialgo backbone.width=16"]',
            "pipelines=[plain,fusion]",
            'datasets=[embedded,"prepared data.root=there"]',
            "seeds=[3,1]",
            "gains=pipeline",
        )
    )
    assert len({(cell.method, cell.dataset, cell.seed) for cell in cells}) == len(cells) == 16
    assert [cell.seed for cell in cells] == [3] * 8 + [1] * 8
    cell = next(c for c in cells if "mialgo" in c.method and "fusion" in c.method and "there" in c.dataset)
    assert cell.base == "mialgo backbone.width=16, plain"
    cfg = compose(cell.words)
    assert (cfg.backbone.name, cfg.backbone.width, cfg.pipeline.branches) == ("mialgo", 16, "separate")
    assert (cfg.data.root, cfg.seed) == ("there", 3)


def test_a_single_pipeline_is_not_in_the_names(settings) -> None:
    assert [cell.method for cell in plan_cells(settings("backbones=[unet,mialgo]"))] == ["unet", "mialgo"]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("10 steps", {"max_steps": 10}),
        ("1e6 pixels", {"max_steps": round(1e6 / (96 * 96 * 8))}),
        ("1.5 seconds", {"max_time": {"seconds": 1.5}}),
    ],
)
def test_every_training_has_the_budget(settings, budget: str, expected: dict) -> None:
    cells = plan_cells(settings("backbones=[unet,upi]", f"budget={budget}"))
    for cell in cells:
        trainer = compose(cell.words).trainer
        assert trainer.max_epochs == -1
        assert {key: trainer[key] for key in expected} == expected


def test_pixels_are_those_of_the_crops_of_each_cell(settings) -> None:
    settings = settings("budget=65536 pixels", 'words=["data.crop=64","data.batch_size=2"]')
    assert compose(plan_cells(settings)[0].words).trainer.max_steps == 8


def test_another_configuration_has_another_folder(settings, tmp_path) -> None:
    def folder(*words: str) -> str:
        return plan_cells(settings(*words))[0].folder(tmp_path).name

    assert folder() == folder("seeds=[0,1]") == folder("backbones=[unet,mialgo]")
    assert len({folder(), folder("budget=8 steps"), folder("seeds=[1]"), folder('words=["data.crop=64"]')}) == 4


def test_a_data_set_made_anew_has_another_folder(settings, tmp_path) -> None:
    cell = plan_cells(settings(f'datasets=["prepared data.root={tmp_path}"]'))[0]
    folders = set()
    for text in ("one", "two"):
        (tmp_path / "manifest.jsonl").write_text(text)
        folders.add(cell.folder(tmp_path))
    assert len(folders) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["budget=8"], "budget must be such as"),
        (["budget=0 steps"], "budget must be such as"),
        (["gains=all"], "gains must be"),
        (["seeds=3"], "seeds must be a list"),
        (["seeds=[-1]"], "seeds must be a list"),
        (["backbones=unet"], "backbones must be a list"),
        (["backbones=[]"], "nothing to do"),
        (["datasets=[3]"], "datasets: an entry must be words"),
        (["words=data"], "words must be a list"),
        (["+methods.mine=[]"], "methods.mine: an entry must be words"),
    ],
)
def test_wrong_settings_are_said(settings, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_cells(settings(*words))


def test_unknown_choices_are_said_before_anything_runs(settings, tmp_path) -> None:
    cell = plan_cells(settings("backbones=[unett]"))[0]
    with pytest.raises(ConfigError, match="unknown backbone 'unett': did you mean"):
        cell.folder(tmp_path)


def test_the_ablation_goes_from_the_organisers_network_to_the_refined_fusion(settings) -> None:
    cells = [cell for cell in plan_cells(settings("experiment=ablation")) if cell.seed == 0]
    assert [cell.method.split()[0] for cell in cells] == [f"A{step}" for step in range(8)]
    assert [cell.base for cell in cells] == [None, *(cell.method for cell in cells[:-1])]
    steps = [compose(cell.words) for cell in cells]
    models = [build_model(cfg, SIMULATED.profile) for cfg in steps]
    for cfg, model in zip(steps, models, strict=True):
        build_loss(as_dict(cfg.loss), model)
    networks = [type(next(iter(model.branches.values()))).__name__ for model in models]
    assert networks == ["UNetAIM", *["UNet"] * 7]
    assert [model.plain for model in models] == [True] * 5 + [False] * 3
    assert [model.config["mask_channel"] for model in models] == [False] * 4 + [True] * 4
    assert [model.refine is not None for model in models] == [False] * 7 + [True]
    assert [cfg.loss.plain.target for cfg in steps[:5]] == ["bayer"] * 2 + ["raw_rgb"] * 3
    terms = [{name for name, weight in cfg.loss.plain.terms.items() if weight} for cfg in steps[:5]]
    assert terms == [{"l2"}, {"l2"}, {"l1"}, {"ms_ssim_l1"}, {"ms_ssim_l1"}]
    assert [cfg.loss.noe.domain for cfg in steps[5:]] == ["linear", "gamma", "gamma"]


def test_steps_of_the_ablation_differ_in_nothing_else() -> None:
    recipes = sorted(config_dir().glob("experiment/ablation_a?.yaml"))
    kept = [
        {key: value for key, value in as_dict(compose([f"experiment={path.stem}"])).items()
         if key in ("optimizer", "schedule", "data", "trainer", "demosaic", "mask", "fusion")}
        for path in recipes
    ]  # fmt: skip
    assert len(kept) == 8
    assert all(settings == kept[0] for settings in kept)


def test_a_benchmark_is_no_training() -> None:
    from revisp.training.build import build_training

    with pytest.raises(ConfigError, match="revisp-benchmark experiment="):
        build_training(compose(["experiment=ablation"]))
