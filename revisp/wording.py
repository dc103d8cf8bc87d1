"""Numbers of things in messages."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return a number and the word for its things, in the singular or plural.

    Args:
        number: how many.
        singular: the word for one.
        plural: the word for several; by default the singular and an s.

    Example:
        >>> counted(1, "photo"), counted(0, "photo"), counted(2, "broken link", "broken links or pipes")
        ('1 photo', '0 photos', '2 broken links or pipes')
    """
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
