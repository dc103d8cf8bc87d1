"""Pairs of photo and RAW from scenes: each view rendered at random, the RAW always that of the canonical sensor.

Every crop shows another view of a scene in another rendering, so that a model learns what photos tell of scenes,
whatever the camera. The scene determines the target (`revisp.camera.canonical`). All that is random in a crop is a
function of the training's seed, the epoch and the crop's number in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from revisp.camera.canonical import canonical_profile, raw_to_light, sensor_reading
from revisp.camera.draw import Draw, generator_of
from revisp.camera.hdr_rendition import random_hdr_rendition
from revisp.camera.renderings import random_rendering
from revisp.data.base import check_whole, taken_by
from revisp.data.datamodule import PairDataModule
from revisp.data.picture import BRIGHTNESS_STEP, Sample
from revisp.data.rendered_views import RenderedViews, ViewPrior, rendered_views
from revisp.data.scene_views import SceneLibrary, view_any
from revisp.errors import ConfigError, DataError
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from revisp.camera.profile import CameraProfile
    from revisp.cfa import CFA
    from revisp.data.scene_cache import CachedScene
    from revisp.data.scene_views import SceneView

__all__ = ["SceneDataModule", "ScenePicture", "SceneSource", "rendered_pair", "scenes"]

RENDERED_MARGIN = 16
"""Pixels around a crop that are rendered with it: sharpening and denoising see them, and blocks of the JPEG lie at
multiples of it."""

TRAIN_PICTURES = 64
"""Pictures that stand for the scenes to learn from: as many samples can be asked for."""

MIN_VIEW = 64

VIEW_SEEDS = {"train": 1, "val": 2}
"""What keeps the views of a base apart: those to learn from, and those to choose by."""


class ScenePicture:
    """Views of some scenes, each rendered anew, in the place of a picture.

    Args:
        name: what to call it in reports; None: by the scene of each view.
        scenes: those to look at.
        size: its rows and columns, even.
        number: of the picture, by which its views differ from those of others.
        photo_share: share of the views that are of photos, where there are both.
        by_range: share of the views that are chosen by their dynamic range (`random_view`).
        gain_maps: share of the photos that have a gain map.
        clean: whether samples have the clean photo (`Sample.clean`): to render it takes a seventh of their time.
        fixed: always the same view and rendering: for validation.
    """

    frame = None
    """A view is no photo of a camera, and lies in none."""

    has_overexposed = False
    """None are known before a view is drawn: highlights are sought by ``by_range``."""

    def __init__(
        self,
        scenes: Sequence[CachedScene],
        size: int,
        number: int,
        *,
        name: str | None = None,
        photo_share: float = 0.25,
        by_range: float = 0.5,
        gain_maps: float = 0.0,
        clean: bool = False,
        fixed: bool = False,
    ) -> None:
        self.scenes = tuple(scenes)
        self.name = name or f"view {number}"
        self.height = self.width = size
        self.number = number
        self.photo_share = photo_share
        self.by_range = by_range
        self.gain_maps = gain_maps
        self.clean = clean
        self.fixed = fixed

    @property
    def cfa(self) -> CFA:
        """Bayer phase of the canonical sensor."""
        return canonical_profile().cfa

    def overexposed(self) -> np.ndarray[Any, Any]:
        """Return no pixels."""
        return np.empty((0, 2), np.int32)

    def brightness(self) -> np.ndarray[Any, Any]:
        """Return the RAW of the view without a seed at every `BRIGHTNESS_STEP`-th row and column."""
        return self._sample(0).target[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP].numpy()

    def read(self, top: int, left: int, height: int, width: int, *, seed: int = 0) -> Sample:
        """Draw and render a view, and cut a window of it; ``mosaic(target) == bayer``."""
        whole = self._sample(0 if self.fixed else seed)
        window = (..., slice(top, top + height), slice(left, left + width))
        planes: dict[str, Any] = {
            name: plane[window].contiguous()
            for name, plane in whole._asdict().items()
            if isinstance(plane, torch.Tensor) and plane.numel()
        }
        return whole._replace(**planes)

    def scene_name(self, sample: Sample) -> str:
        """Return the name of the scene that a sample of this picture shows."""
        return self.scenes[0].name if len(self.scenes) == 1 else sample.name

    def view(self, generator: torch.Generator) -> SceneView:
        """Draw a view of a scene, with `RENDERED_MARGIN` around it."""
        side = self.height + 2 * RENDERED_MARGIN
        return view_any(self.scenes, side, generator, photo_share=self.photo_share, by_range=self.by_range)

    @torch.no_grad()
    def _sample(self, seed: int) -> Sample:
        generator = generator_of(self.number, seed)
        view = self.view(generator)
        if self.gain_maps:  # a map may be smaller than the photo, and is then enlarged as a whole
            whole = rendered_pair(view, generator, clean=self.clean)
            side = slice(RENDERED_MARGIN, RENDERED_MARGIN + self.height)
            photo, raw_rgb, clean = (plane[..., side, side] if plane.numel() else plane for plane in whole)
            gain = self._gain(whole[0], whole[1], generator)[..., side, side]
        else:
            photo, raw_rgb, clean = rendered_pair(view, generator, margin=RENDERED_MARGIN, clean=self.clean)
            gain = torch.empty(0)
        bayer = mosaic(raw_rgb, self.cfa)
        name = self.name if self.fixed else view.name
        return Sample(photo, bayer, raw_rgb, name, torch.ones_like(bayer), clean, gain)

    def _gain(self, photo: torch.Tensor, raw_rgb: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw whether a photo has a gain map, and return it ``[1, h, w]``."""
        if Draw(generator).uniform(0, 1) >= self.gain_maps:
            return torch.full_like(photo[:1], torch.nan)
        rendition, error = random_hdr_rendition(generator)
        return rendition.above_mid_grey(raw_to_light(raw_rgb), photo) + error


def rendered_pair(
    view: SceneView, generator: torch.Generator, *, margin: int = 0, clean: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Render a view at random.

    Args:
        view: light of a scene.
        generator: source of randomness, on the CPU.
        margin: pixels on each side that are only looked at (`SceneRendering.render`).
        clean: make the clean photo, too.

    Returns:
        Photo, sRGB ``[3, h, w]`` in [0, 1]; RAW of the canonical sensor with all colours, ``[3, h, w]``, in
        [0, 1], not white-balanced, without noise (`sensor_reading`); and the photo by `SceneRendering.clean`, an
        empty tensor if it is not asked for.
    """
    rendering = random_rendering(generator)
    gain = rendering.meter(view.light)
    photo = rendering.render(view.light, gain, generator=generator, margin=margin)
    height, width = view.light.shape[-2:]
    light = view.light[:, margin : height - margin, margin : width - margin]
    clean_photo = rendering.clean.render(view.light, gain, margin=margin) if clean else torch.empty(0)
    return photo, sensor_reading(rendering, light, gain), clean_photo


class SceneSource:
    """Scenes of a folder as pictures.

    Args:
        scenes: folder of scenes, or what ``revisp-prepare`` made of one (`SceneLibrary`); None: none.
        photos: folder of plain photos to take for scenes, too; None: none or, without scenes, the embedded
            photographs.
        photo_share: share of the views that are of photos.
        by_range: share of the views that are chosen by their dynamic range.
        gain_maps: share of the photos to learn from that have a gain map.
        val: scenes, photos or folders of them to validate with; None holds some back by their names.
        cache: folder in which decoded scenes are kept for the next training; None: they go when the program ends.
        crop: side of a view to learn from, in pixels.
        val_size: side of a view to validate with.
        val_views: views of each scene to validate with.

    Attributes:
        clean: whether pictures to learn from have the clean photo (`Sample.clean`).

    Raises:
        ConfigError: a share or size outside its range.
        DataError: no scenes, none that can be read, or too few.
        OutputError: the decoded scenes cannot be stored.
    """

    def __init__(
        self,
        scenes: str | Path | None = None,
        photos: str | Path | None = None,
        *,
        photo_share: float = 0.25,
        by_range: float = 0.5,
        gain_maps: float = 0.0,
        val: Sequence[str] | str | None = None,
        cache: str | Path | None = None,
        crop: int = 128,
        val_size: int = 256,
        val_views: int = 4,
    ) -> None:
        for name, share in (("photo_share", photo_share), ("by_range", by_range), ("gain_maps", gain_maps)):
            if not 0 <= share <= 1:
                raise ConfigError(f"data.{name} must lie in [0, 1], got {share}")
        check_whole(val_size, "val_size", MIN_VIEW)
        if val_size % 2:
            raise ConfigError(f"data.val_size must be even, got {val_size}")
        check_whole(val_views, "val_views")
        self.scene_library = SceneLibrary(scenes, photos, val=val, cache=cache)
        if not self.scene_library.parts["val"]:
            raise DataError(
                f"{scenes or photos}: no scene to validate with: more are needed, or data.val to name some"
            )
        self.photo_share, self.by_range, self.gain_maps = photo_share, by_range, gain_maps
        self.crop, self.val_size, self.val_views = crop, val_size, val_views
        self.clean = False

    @property
    def profile(self) -> CameraProfile:
        """The canonical sensor."""
        return canonical_profile()

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line on the files in the folder of photos that are no photos; empty if all are."""
        return self.scene_library.left_out

    def train_pictures(self) -> list[ScenePicture]:
        """Return pictures that show another view of another scene at each reading."""
        return [
            self._picture(
                self.scene_library.parts["train"],
                self.crop,
                number,
                photo_share=self.photo_share,
                by_range=self.by_range,
                gain_maps=self.gain_maps,
                clean=self.clean,
            )
            for number in range(TRAIN_PICTURES)
        ]

    def val_pictures(self) -> list[ScenePicture]:
        """Return some views of each scene that is held back for validation, always the same."""
        return [
            self._picture([scene], self.val_size, number, name=f"{scene.name} {number + 1}", fixed=True)
            for scene in self.scene_library.parts["val"]
            for number in range(self.val_views)
        ]

    def _picture(self, scenes: Sequence[CachedScene], size: int, number: int, **options: Any) -> ScenePicture:
        return ScenePicture(scenes, size, number, **options)


class SceneDataModule(PairDataModule):
    """The data module of scenes, which also serves whole views to an estimated base."""

    source: SceneSource

    def ask_for_clean_photos(self) -> None:
        """Let the crops have the clean photo (`Sample.clean`): an estimated base's branches learn from it."""
        self.source.clean = True
        self._train = None

    def rendered_views(self, split: Literal["train", "val"], count: int, prior: ViewPrior) -> RenderedViews:
        """Return views of the scenes of one split, each in several renderings; always the same for a seed.

        Args:
            split: ``"train"``, or ``"val"`` for views of scenes that are never learnt from.
            count: number of views.
            prior: what they are drawn from.
        """
        seed = int(np.random.SeedSequence([self.seed, VIEW_SEEDS[split]]).generate_state(1)[0])
        scenes = self.source.scene_library.parts[split]
        return rendered_views(scenes, count, prior, seed=seed, num_workers=self.num_workers)


def scenes(
    *,
    scenes: str | Path | None = None,
    photos: str | Path | None = None,
    val: Sequence[str] | str | None = None,
    cache: str | Path | None = None,
    crop: int = 128,
    camera: str | Path | None = None,
    pairs: str | Path | None = None,
    demosaic: Mapping[str, Any] | None = None,
    **options: Any,
) -> PairDataModule:
    """Return the data module of scenes that are rendered anew for every crop.

    Args:
        scenes: as for `SceneSource`.
        photos: as for `SceneSource`.
        val: as for `SceneSource`.
        cache: as for `SceneSource`.
        crop: side of a crop.
        camera: file of the camera that takes all views (`revisp.data.camera_views`); None: renderings of any
            camera, and the RAW of the canonical sensor.
        pairs: prepared data set of that camera, whose pairs are learnt with the scenes; None: none.
        demosaic: of no effect, as scenes have all colours.
        options: other arguments of `SceneSource`, and those of `PairDataModule`.

    Raises:
        ConfigError: an argument outside its range.
        DataError: no scenes, none that can be read, or too few.
        OutputError: the decoded scenes cannot be stored.
    """
    check_whole(crop, "crop", MIN_VIEW // 2)
    options |= {"scenes": scenes, "photos": photos, "val": val, "cache": cache}
    if camera is not None:
        from revisp.data.camera_views import camera_scenes

        return camera_scenes(camera, pairs, crop=crop, **options)
    if pairs is not None:
        raise ConfigError("data.pairs needs data.camera: the file of the camera that took them")
    options.pop("pair_share", None)
    source = SceneSource(crop=crop, **taken_by(SceneSource, options))
    return SceneDataModule(source, crop=crop, oe_share=0.0, augment=False, **options)
