"""RGB to RAW among torchvision's v2 transforms: targets untouched, in workers, repeatably."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

import revisp
from revisp.augment import RGBToRAW

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*")

SIZE = (32, 48)


def _photo(seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (3, *SIZE), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def _target() -> dict[str, object]:
    mask = torch.zeros(2, *SIZE, dtype=torch.uint8)
    mask[0, 4:20, 5:30] = 1
    return {
        "boxes": tv_tensors.BoundingBoxes([[5, 4, 30, 20], [0, 0, 9, 9]], format="XYXY", canvas_size=SIZE),
        "masks": tv_tensors.Mask(mask),
        "labels": torch.tensor([3, 1]),
        "image_id": 7,
        "keypoints": torch.rand(2, 17, 3),
    }


def test_targets_are_the_same_objects():
    image, target = tv_tensors.Image(_photo()), _target()
    raw, after = RGBToRAW()(image, target)
    assert isinstance(raw, tv_tensors.Image)
    assert raw.shape == (1, *SIZE)
    assert all(after[name] is value for name, value in target.items())
    assert torch.equal(image, _photo())


def test_a_batch_takes_its_targets_along():
    photos, targets = torch.stack([_photo(), _photo(1)]), [_target(), _target()]
    raw, after = RGBToRAW(output="packed")(photos, targets)
    assert type(raw) is torch.Tensor
    assert raw.shape == (2, 4, 16, 24)
    assert after[1]["boxes"] is targets[1]["boxes"]
    assert after[0]["labels"] is targets[0]["labels"]


def test_among_other_transforms():
    """Boxes move with the flip and crop, as they do without the RAW."""
    geometry = [v2.RandomHorizontalFlip(p=1.0), v2.CenterCrop((24, 40)), v2.ToDtype(torch.float32, scale=True)]
    plain, with_raw = v2.Compose(geometry), v2.Compose([*geometry, RGBToRAW(output="raw_rgb")])
    image, target = tv_tensors.Image(_photo()), _target()
    raw, after = with_raw(image, target)
    _, expected = plain(image, target)
    assert raw.shape == (3, 24, 40)
    assert torch.equal(after["boxes"], expected["boxes"])
    assert torch.equal(after["masks"], expected["masks"])
    assert after["boxes"].canvas_size == (24, 40)


def test_flipped_before_it_is_the_mosaic_of_the_flipped_photo():
    to_raw = RGBToRAW(noise=None, quantise=False)
    torch.manual_seed(2)
    one = v2.Compose([v2.RandomHorizontalFlip(p=1.0), to_raw])(tv_tensors.Image(_photo()))
    torch.manual_seed(2)
    torch.rand(1)  # the flip's own draw
    assert torch.equal(one, to_raw(tv_tensors.Image(_photo().flip(-1))))


def test_pil_images():
    array = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    to_raw = RGBToRAW()
    torch.manual_seed(0)
    raw, label = to_raw(Image.fromarray(array), 5)
    torch.manual_seed(0)
    assert label == 5
    assert isinstance(raw, tv_tensors.Image)
    assert torch.equal(raw, to_raw(tv_tensors.Image(torch.from_numpy(array).permute(2, 0, 1))))
    with pytest.raises(revisp.errors.ShapeError, match=r"got \[1, 1, 32, 48\]|got \[1, 32, 48\]"):
        to_raw(Image.fromarray(array[..., 0]))


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_pil_images_of_other_modes_are_converted(mode):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).convert(mode)
    to_raw = RGBToRAW()
    torch.manual_seed(0)
    raw = to_raw(image)
    torch.manual_seed(0)
    assert torch.equal(raw, to_raw(image.convert("RGB")))


def test_the_profile_of_a_pil_image_is_converted():
    """Adobe RGB by LittleCMS through Pillow; another mode of three channels is refused."""
    image = Image.fromarray(np.random.default_rng(0).integers(60, 200, (*SIZE, 3), dtype=np.uint8))
    adobe = imagecodecs.cms_profile("adobergb")
    srgb = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(adobe)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    to_raw, raws = RGBToRAW(noise=None, quantise=False), []
    image.info["icc_profile"] = adobe
    srgb.info.pop("icc_profile", None)
    for each in (image, srgb):
        torch.manual_seed(0)
        raws.append(to_raw(each))
    assert (raws[0] - raws[1]).abs().max() < 0.02
    with pytest.raises(revisp.errors.ShapeError, match="mode LAB is not a photo of three colours"):
        to_raw(Image.new("LAB", (48, 32)))


def test_images_of_one_sample_share_camera_and_exposure_but_not_noise():
    pair = {"left": tv_tensors.Image(_photo()), "right": tv_tensors.Image(_photo())}
    clean = RGBToRAW(noise=None)(pair)
    assert torch.equal(clean["left"], clean["right"])
    noisy = RGBToRAW(noise="random", gain=(8, 8))(pair)
    assert not torch.equal(noisy["left"], noisy["right"])


def test_a_sample_without_image_passes():
    target = _target()
    boxes, mask = RGBToRAW()(target["boxes"], target["masks"])
    assert boxes is target["boxes"]
    assert mask is target["masks"]


def test_a_video_is_refused_instead_of_left_as_it_is():
    video = tv_tensors.Video(torch.stack([_photo(), _photo(1)]))
    with pytest.raises(revisp.errors.ShapeError, match="videos are not supported: give their frames as a batch"):
        RGBToRAW()(video, 5)


class _Samples(Dataset):
    """The same photo again and again."""

    def __init__(self, transform: v2.Transform) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        raw, label = self.transform(tv_tensors.Image(_photo()), index)
        return raw.as_subclass(torch.Tensor), label


def test_workers_draw_differently_and_repeatably():
    runs = []
    for _ in range(2):
        torch.manual_seed(11)
        loader = DataLoader(_Samples(v2.Compose([RGBToRAW()])), batch_size=2, num_workers=2)
        raws, labels = zip(*loader, strict=True)
        assert torch.cat(labels).tolist() == list(range(8))
        runs.append(torch.cat(raws))
    assert torch.equal(*runs)
    differences = (runs[0][:, None] - runs[0][None]).abs().mean(dim=(-3, -2, -1))
    assert (differences + torch.eye(8) > 1e-3).all()


def test_it_says_what_it_does():
    assert repr(RGBToRAW(cfa="GRBG", gain=(1, 4))) == (
        "RGBToRAW(random cameras, cfa='GRBG', exposures=(-0.7, 1.3), noise='camera', gain=(1.0, 4.0), "
        "quantise=True, output='bayer', p=1.0)"
    )
    assert "(1 camera," in repr(RGBToRAW(revisp.camera.SIMULATED))


def test_arrays_are_no_photos_but_may_go_with_one():
    photo = np.full((32, 48, 3), 128, np.uint8)
    for sample in (photo, {"image": photo, "label": 3}):
        with pytest.raises(revisp.errors.ShapeError, match=r"give v2.functional.to_image\(array\) of \[H, W, 3\]"):
            RGBToRAW()(sample)
    mixed = RGBToRAW()({"image": v2.functional.to_image(photo), "depth": photo})
    assert mixed["image"].shape == (1, 32, 48)
    assert mixed["depth"] is photo
