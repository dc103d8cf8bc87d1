"""Training with the place in the photo: the base gets the lens shading, and steps and scores see the place."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.utils.data import default_collate

from revisp.backbones.classical import Classical
from revisp.camera.fitted import FittedCamera, as_tuples, plain_curve
from revisp.camera.place import place_map
from revisp.camera.simulate import SIMULATED
from revisp.config import compose
from revisp.data.datamodule import PairDataModule
from revisp.data.memory import MemoryPicture
from revisp.data.picture import Sample
from revisp.errors import ConfigError
from revisp.losses import BranchLoss, FusionLoss
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP
from revisp.training.build import build_training
from revisp.training.task import ReverseISPTask

pytestmark = pytest.mark.filterwarnings("ignore:.*self.trainer.*")

PROFILE = SIMULATED.profile
CAMERA = FittedCamera(
    as_tuples(plain_curve().numpy()), ((2.0, 0.0, 0.0), (0.0, 1.5, 0.0), (0.0, 0.0, 1.8)), shading=(0.4, 0.1)
)


class Photos:
    """Two whole photos of a camera whose JPEG corrects lens shading."""

    profile = PROFILE

    def train_pictures(self) -> list[MemoryPicture]:
        patches = 0.05 + 0.85 * torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))
        photo = patches.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
        raw = CAMERA.unprocess(photo)
        sample = Sample(photo, mosaic(raw, PROFILE.cfa), raw, "wall", torch.ones(1, 96, 128))
        return [MemoryPicture(sample, PROFILE.cfa, torch.zeros(1, 96, 128))]

    val_pictures = train_pictures


class Crops(Photos):
    """The same as crops of unknown photos."""

    def train_pictures(self) -> list[MemoryPicture]:
        pictures = super().train_pictures()
        for picture in pictures:
            picture.frame = None
        return pictures


@pytest.fixture(scope="module")
def data() -> PairDataModule:
    return PairDataModule(Photos(), crop=32, crops_per_epoch=8, val_tile=64)


def task_with(place: bool) -> ReverseISPTask:
    torch.manual_seed(0)
    kwargs = {"width": 4, "depth": 2, "norm": "none"}
    model = ReverseISP("unet", backbone_kwargs=kwargs, base="classical", place=place, profile=PROFILE)
    branch = BranchLoss({"l1": 1.0})
    return ReverseISPTask(model, FusionLoss(branch, branch), optimizer=partial(torch.optim.SGD, lr=0.1))


def test_base_and_baseline_learn_the_shading_from_tiles(data: PairDataModule) -> None:
    task, samples = task_with(False), data.training_samples()
    assert max(sample.srgb.shape[-1] for sample in samples) == 64
    task.fit_networks(samples)
    task.fit_baseline(samples)
    base = task.model.base
    assert isinstance(base, Classical)
    assert abs(float(base.shading.sum()) - 0.5) < 0.03
    whole = data.train_pictures[0].read(0, 0, 96, 128)
    found = task.model.eval()(whole.srgb[None]).raw_rgb[0]
    torch.testing.assert_close(found, whole.target, atol=0.01, rtol=0)
    corner = samples[0]
    for method in (task.reconstruct_photos, task.baselines["classical"]):
        found = method(corner.srgb[None], corner.place[None])
        found = getattr(found, "raw_rgb", found)[0]
        torch.testing.assert_close(found, corner.target, atol=0.01, rtol=0)


def test_a_step_tells_networks_where_crops_lie(data: PairDataModule) -> None:
    task = task_with(True)
    for gain in task.model.gains.values():
        torch.nn.init.constant_(gain, 0.3)
    samples = data.training_samples()
    batch = Sample(*default_collate([samples[0], samples[1]]))
    elsewhere = batch._replace(place=batch.place.flip(0))
    assert not torch.equal(batch.place, elsewhere.place)
    assert task.training_step(batch, 0) != task.training_step(elsewhere, 0)
    assert torch.equal(batch.place[0], place_map(96, 128)[..., :48, :64])


def test_crops_of_unknown_photos_are_refused_in_one_line(tmp_path) -> None:
    cfg = compose(["backbone=unet", "backbone.width=4", "pipeline.place=true", f"hydra.run.dir={tmp_path}"])
    with pytest.raises(ConfigError, match=r"pipeline.place=true needs data of whole photos.*pipeline.place=false"):
        build_training(cfg, PairDataModule(Crops(), crop=32, crops_per_epoch=8))
