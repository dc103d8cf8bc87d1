"""What a notebook shows of our objects: pictures that decode, true ranges, the right phase, escaped names."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

import revisp
from revisp.camera.cameras import known_profile
from revisp.cfa import CFA
from revisp.data.picture import Sample
from revisp.io.exif import PhotoMetadata
from revisp.io.raw.rawimage import RawImage
from revisp.mosaic import mosaic


def _pictures(html: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


class _Balance(HTMLParser):
    """Checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _check(html: str) -> str:
    parser = _Balance()
    parser.feed(html)
    assert parser.open == []
    return html


@pytest.mark.parametrize("cfa", list(CFA))
def test_a_reconstruction_shows_picture_ranges_and_phase(cfa: CFA) -> None:
    model = revisp.ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, cfa=cfa).eval()
    srgb = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0))
    out = revisp.predict(model, srgb, branches=True)
    for one in (out, out._replace(**{name: x[None] for name, x in out._asdict().items() if x is not None})):
        html = _check(one._repr_html_())
        assert [picture.size for picture in _pictures(html)] == [(48, 32)] * 2
        assert f'aria-label="{cfa.value}"' in html
        assert f"{float(out.raw_rgb.max()):.4f}" in html


def test_a_sample_shows_photo_and_raw() -> None:
    target = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 32, 48)
    sample = Sample(target, mosaic(target, "BGGR"), target, "<b>name</b>", valid)
    html = _check(sample._repr_html_())
    assert len(_pictures(html)) == 2
    assert 'aria-label="BGGR"' in html
    assert "<b>" not in html
    valid[:, :8] = 0
    assert len(_pictures(sample._repr_html_())) == 3


def test_a_camera_shows_its_pattern_levels_and_colours() -> None:
    html = _check(known_profile("Nikon D850").replace(cfa=CFA.GRBG)._repr_html_())
    assert "Nikon D850" in html
    assert 'aria-label="GRBG"' in html
    fields = re.findall(r'aria-label="(white|red|green|blue)"><rect[^>]*fill="#(..)(..)(..)"', html)
    seen = {name: [int(value, 16) for value in values] for name, *values in fields}
    assert max(range(3), key=seen["red"].__getitem__) == 0
    assert max(range(3), key=seen["blue"].__getitem__) == 2
    assert seen["white"][1] == 255  # green saturates first in daylight


def test_a_raw_is_shown_upright_with_its_stored_range() -> None:
    profile = known_profile("Nikon D850")
    stored = np.full((32, 48), round(profile.white_level) // 2, np.uint16)
    stored[0, 0] = 7
    html = _check(RawImage(stored, profile, PhotoMetadata(model="<i>"), orientation=6)._repr_html_())
    (picture,) = _pictures(html)
    assert picture.size == (16, 24)
    assert f"7 to {round(profile.white_level) // 2}" in html
    assert "<i>" not in html
