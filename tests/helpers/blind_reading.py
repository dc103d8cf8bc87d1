"""The protocol for unknown cameras in plain NumPy, written from its text, apart from the library's own."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def binned_mosaic(mosaic: Array, pattern: str) -> Array:
    """Bin ``[2h, 2w]`` to ``[h, w, 3]``, sample by sample."""
    total, count = np.zeros((*(side // 2 for side in mosaic.shape), 3)), np.zeros(3)
    for place, letter in enumerate(pattern):
        colour = "RGB".index(letter)
        total[..., colour] += mosaic[place // 2 :: 2, place % 2 :: 2]
        count[colour] += 1
    return total / count


class Reading:
    """One prediction ``[h, w, 3]`` against one truth: binned, not yet balanced, framed or scaled."""

    def __init__(self, raw: Array, gains: Array, photo: Array, prediction: Array) -> None:
        raw, photo, prediction = (x[8:-8, 8:-8].astype(float) for x in (raw, photo, prediction))
        saturated = (raw >= 0.98).any(-1)
        self.clipped = (photo >= 0.98).sum(-1)
        self.known = ~saturated
        self.v = self.known & (self.clipped == 0)
        self.truth, self.given = (
            x / np.percentile(x.max(-1)[self.v], 99.9) for x in (raw * np.asarray(gains), prediction)
        )
        rows, columns = np.indices(self.v.shape)
        self.parity = (rows // 32 + columns // 32) % 2

    def fit(self, level: int, where: Array) -> Array:
        """Return the matrix that multiplies a row of colours from the right."""
        p, t = self.given[where], self.truth[where]
        if level == 0:
            return np.eye(3)
        if level == 1:
            return np.eye(3) * (p * t).sum() / (p * p).sum()
        if level == 2:
            return np.diag([(p[:, c] @ t[:, c]) / (p[:, c] @ p[:, c]) for c in range(3)])
        ridge = 1e-6 * np.trace(p.T @ p) / 3
        # Ridge regression as ordinary least squares with three more rows.
        rows, targets = np.vstack([p, np.sqrt(ridge) * np.eye(3)]), np.vstack([t, np.zeros((3, 3))])
        return np.linalg.lstsq(rows, targets, rcond=None)[0]

    def matched(self, level: int) -> Array:
        """Return the prediction after the cross-fit; NaN where not usable."""
        result = np.full_like(self.given, np.nan)
        for parity in (0, 1):
            scored, fitted = self.v & (self.parity == parity), self.v & (self.parity != parity)
            result[scored] = self.given[scored] @ self.fit(level, fitted)
        return result

    def level(self, level: int) -> tuple[float, float, float]:
        """Return PSNR, median stops and mean angle."""
        q, t = self.matched(level)[self.v], self.truth[self.v]
        psnr = -10 * np.log10(np.mean(np.sum((q - t) ** 2, axis=1) / 3))
        stops = np.median(np.abs(stops_of(q[:, 1]) - stops_of(t[:, 1])))
        unit_q, unit_t = (x / np.sqrt((x**2).sum(1, keepdims=True)) for x in (q, t))
        angle = np.degrees(np.mean(np.arccos(np.clip((unit_q * unit_t).sum(1), -1, 1))))
        return psnr, stops, angle

    def linearity(self) -> tuple[float, float, float]:
        """Return slope, departure and shadow-highlight bias."""
        q, t = stops_of(self.matched(3)[self.v][:, 1]), stops_of(self.truth[self.v][:, 1])
        points = []
        for low in np.arange(-6, 0, 0.25):
            inside = (t >= low) & (t < low + 0.25)
            if inside.sum() >= 200:
                points.append((np.median(t[inside]), np.median(q[inside])))
        u, m = np.array(points).T
        off = m - u
        return np.polyfit(u, m, 1)[0], np.sqrt(np.mean((off - off.mean()) ** 2)), off[:4].mean() - off[-4:].mean()

    def highlights(self, n: int) -> tuple[float, float, float, float, float, int]:
        """Return bias, MAE, MAE of the texture, share within half a stop, rank correlation, pixels."""
        mask = self.known & (self.clipped == n)
        q, t = stops_of((self.given @ self.fit(3, self.v))[mask][:, 1]), stops_of(self.truth[mask][:, 1])
        error = q - t
        rank = np.corrcoef(*(np.argsort(np.argsort(x)) for x in (q, t)))[0, 1]
        return (
            error.mean(),
            np.abs(error).mean(),
            np.abs(error - np.median(error)).mean(),
            np.mean(np.abs(error) <= 0.5),
            rank,
            mask.sum(),
        )


def consistency(readings: list[Reading]) -> tuple[float, float]:
    """Return cross and drop over all pairs of styles."""
    same, cross = [], []
    for a, one in enumerate(readings):
        matrix = one.fit(3, one.v)
        for b, other in enumerate(readings):
            q, t = other.given[other.v] @ matrix, other.truth[other.v]
            gain = (q * t).sum() / (q * q).sum()
            (same if a == b else cross).append(-10 * np.log10(np.mean((gain * q - t) ** 2)))
    return np.mean(cross), np.mean(same) - np.mean(cross)


def stops_of(x: Array) -> Array:
    """Return log2, with a floor of 20 stops below 1."""
    return np.log2(np.maximum(x, 2.0**-20))
