"""Tables of curves, and the strips in which pictures are read from them."""

from __future__ import annotations

import pytest
import torch

from revisp.camera.tables import PairTable, read_tables, strips


def test_pairs_read_as_single_values():
    generator = torch.Generator().manual_seed(0)
    table = torch.rand(256, generator=generator)
    photo = torch.randint(256, (1, 33, 50), dtype=torch.uint8, generator=generator)
    assert torch.equal(PairTable(table)(photo), table[photo.long()])
    assert torch.equal(read_tables(table[None], photo), table[photo.long()])


@pytest.mark.parametrize("size", [(2, 2), (480, 640), (1001, 999), (7, 100_000)])
def test_strips_cover_every_row_once_and_begin_at_multiples_of_four(size):
    parts = list(strips(torch.empty(1).expand(1, *size)))
    assert [row for rows in parts for row in range(rows.start, rows.stop)] == list(range(size[0]))
    assert all(rows.start % 4 == 0 for rows in parts)
