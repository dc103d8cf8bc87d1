"""The figures of ``revisp-evaluate metrics=``; each is computed for one picture.

The score of a set is the mean of a figure over its pictures, for every figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from revisp.camera.profile import CameraProfile
from revisp.errors import ConfigError, UnknownNameError, WeightsError, near_miss
from revisp.metrics import developed_delta_e, developed_lpips, noise_ratio, quantise
from revisp.metrics.by_region import psnr_ssim
from revisp.metrics.regions import ScoredPlanes

__all__ = ["DEFAULT_METRICS", "METRICS", "Measure", "check_metrics", "choose_measures", "notes_of"]

DEFAULT_METRICS = ("aim",)
"""The metrics that are computed by default."""


@dataclass(frozen=True)
class Measure:
    """A group of figures.

    Attributes:
        figures: computes the figures by name from the planes of a picture; NaN if a region is empty.
        note: explanation of the figures for a reader; "" if they need none.
    """

    figures: Callable[[ScoredPlanes], dict[str, float]]
    note: str = ""


def check_metrics(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of metrics, each once.

    Raises:
        UnknownNameError: a metric does not exist; the message names near misses.
        ConfigError: there is no name, or a value is not a name.

    Example:
        >>> check_metrics(["aim", "noise", "aim"])
        ('aim', 'noise')
    """
    given = (names,) if isinstance(names, str) else tuple(names or ())
    if not given or not all(isinstance(name, str) for name in given):
        raise ConfigError(f"metrics must name some of {', '.join(METRICS)}, got {names!r}")
    for name in given:
        if name not in METRICS:
            raise UnknownNameError(near_miss("metric", name, METRICS))
    return tuple(dict.fromkeys(given))


def choose_measures(
    names: str | Sequence[str] = DEFAULT_METRICS, profile: CameraProfile | None = None
) -> tuple[Measure, ...]:
    """Return the measures of these names. Raise an error early, before slow work, if a measure cannot be computed.

    Args:
        names: names of `METRICS`.
        profile: camera of the RAW; None if it is unknown.

    Raises:
        UnknownNameError: a metric does not exist; the message names near misses.
        ConfigError: a metric compares developed pictures, and the camera is unknown.
        WeightsError: LPIPS is asked for, and its trunk is missing.

    Example:
        >>> [measure.note for measure in choose_measures("noise")]
        ['noise_ratio: variance of the noise over that of the true RAW; 1 is best']
    """
    return tuple(METRICS[name](profile) for name in check_metrics(names))


def notes_of(measures: Sequence[Measure]) -> tuple[str, ...]:
    """Return the explanations of the figures, one sentence each."""
    return tuple(measure.note for measure in measures if measure.note)


def _aim(_: CameraProfile | None) -> Measure:
    return Measure(psnr_ssim)


def _ntire(_: CameraProfile | None) -> Measure:
    def figures(planes: ScoredPlanes) -> dict[str, float]:
        return {f"ntire_{name}": value for name, value in psnr_ssim(planes, stored=quantise).items()}

    return Measure(figures, "ntire_psnr, ntire_ssim: of values stored in 12 bits, as NTIRE 2025 scores them")


def _colour(profile: CameraProfile | None) -> Measure:
    camera = _require_camera("colour", profile)

    def figures(planes: ScoredPlanes) -> dict[str, float]:
        pair = planes.prediction[None], planes.truth[None]
        return {
            f"delta_e{suffix}": developed_delta_e(*pair, camera, region[None]).item()
            for suffix, region in planes.regions.items()
        }

    return Measure(figures, f"delta_e: mean CIEDE2000 of RAW developed for {camera.name}; 0 is best")


def _noise(_: CameraProfile | None) -> Measure:
    def figures(planes: ScoredPlanes) -> dict[str, float]:
        found = noise_ratio(planes.prediction[None], planes.truth[None], planes.regions[""][None])
        return {"noise_ratio": found.mean.item()}

    return Measure(figures, "noise_ratio: variance of the noise over that of the true RAW; 1 is best")


def _lpips(profile: CameraProfile | None) -> Measure:
    from revisp.losses.perceptual import TRUNK_VARIABLE, LPIPSLoss

    camera = _require_camera("lpips", profile)
    if LPIPSLoss.missing() is not None:
        raise WeightsError(f"metrics=lpips needs AlexNet's trunk: name its file by the variable {TRUNK_VARIABLE}")
    network = LPIPSLoss()

    def figures(planes: ScoredPlanes) -> dict[str, float]:
        counts = planes.regions[""]
        region = None if bool((counts == 1).all()) else counts[None]
        pair = planes.prediction[None], planes.truth[None]
        return {"lpips": developed_lpips(*pair, camera, network, region).item()}

    return Measure(figures, f"lpips: of RAW developed for {camera.name}; 0 is best; {network.source}")


def _require_camera(metric: str, profile: CameraProfile | None) -> CameraProfile:
    if profile is None:
        raise ConfigError(f"metrics={metric} compares developed pictures, and the camera of this RAW is not known")
    return profile


METRICS: Mapping[str, Callable[[CameraProfile | None], Measure]] = MappingProxyType(
    {"aim": _aim, "ntire": _ntire, "colour": _colour, "noise": _noise, "lpips": _lpips}
)
"""Functions that make the measure of a camera, by the name of the metric."""
