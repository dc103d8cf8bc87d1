"""Registries of exchangeable parts: each entry has a name, a factory and a specification.

Entries may be *lazy* (``"module:attribute"``): listing names never imports a network's code. Third parties add
entries by an entry point of the registry's group. Only its metadata is read until somebody gets the entry.
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from revisp.errors import ConfigError, UnknownNameError, near_miss

__all__ = ["Registry"]

S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[S]):
    """Map names to factories and their specifications.

    Args:
        kind: word for an entry in error messages, in the singular ("backbone").
        group: entry-point group that third-party distributions may fill (``"revisp.backbones"``).

    A plugin's entry point must name a factory that was decorated by `register`, or a plain callable.

    Example:
        >>> filters = Registry("filter")
        >>> @filters.register("box")
        ... def box(size=3):
        ...     return f"box of {size} pixels"
        >>> filters.names(), filters.create("box", size=5)
        (['box'], 'box of 5 pixels')
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._factories: dict[str, Callable[..., Any] | str] = {}
        self._specs: dict[str, S | None] = {}
        self._loaded: set[str] = set()

    def register(self, name: str, spec: S | None = None, *, override: bool = False) -> Callable[[F], F]:
        """Return a decorator that adds a factory under ``name``.

        The same definition may run again (a notebook cell, a reloaded module) and replaces itself silently.
        Another factory of the same name needs ``override=True``.

        Raises:
            ConfigError: the name is taken.
        """

        def add(factory: F) -> F:
            known = self._factories.get(name)
            if known is not None and not override and _identity(known) != _identity(factory):
                raise ConfigError(
                    f"a {self.kind} named {name!r} is already registered ({_identity(known)}); "
                    "choose another name or pass override=True"
                )
            self._factories[name] = factory
            self._specs[name] = spec
            return factory

        return add

    def register_lazy(self, name: str, target: str, spec: S | None = None) -> None:
        """Add ``target`` (``"package.module:attribute"``) under ``name`` without importing it."""
        self._factories[name] = target
        self._specs[name] = spec

    def names(self, pattern: str = "*") -> list[str]:
        """Return all names that match a shell pattern, plugins included, sorted."""
        known = set(self._factories) | set(self._entry_points())
        return sorted(fnmatch.filter(known, pattern))

    def spec(self, name: str) -> S | None:
        """Return the specification registered with ``name`` (None for a plugin without one).

        Raises:
            UnknownNameError: no such entry.
        """
        self._require(name)
        if name not in self._specs:
            self.get(name)
        return self._specs.get(name)

    def plugin(self, name: str) -> str | None:
        """Return the distribution that brings ``name`` by an entry point; None if it was registered in code."""
        known = self._factories.get(name)
        point = self._entry_points().get(name)
        if point is None or point.dist is None or (known is not None and name not in self._loaded):
            return None
        return point.dist.name

    def get(self, name: str) -> Callable[..., Any]:
        """Return the factory of ``name``, importing it if it was lazy.

        Raises:
            UnknownNameError: no such entry; near misses are named.
            ConfigError: a plugin's entry point cannot be loaded; the message names its distribution.
        """
        self._require(name)
        factory = self._factories.get(name)
        if factory is None:
            factory = self._load_plugin(name)
        if isinstance(factory, str):
            module, _, attribute = factory.partition(":")
            factory = getattr(importlib.import_module(module), attribute)
            self._factories[name] = factory
        assert callable(factory)
        return factory

    def create(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the factory of ``name``; a None among the keyword arguments means "unset" and is dropped.

        Raises:
            UnknownNameError: no such entry.
            ConfigError: the factory does not take these arguments.
        """
        factory = self.get(name)
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        try:
            return factory(*args, **kwargs)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise ConfigError(f"{self.kind} {name!r}: {error}") from error

    def texts(self, name: str) -> frozenset[str]:
        """Return the parameters of the factory of ``name`` whose values are texts, as their annotations say.

        Those are annotated with ``str`` or ``Path``, alone or in a union or list, and not with a number beside it.
        Annotations are read as words, since a plugin may import their types for type checkers only.

        Raises:
            UnknownNameError: no such entry.
            ConfigError: a plugin cannot be loaded.

        Example:
            >>> filters = Registry("filter")
            >>> @filters.register("table")
            ... def table(file: str | None, parts: list[str] = (), size: int = 3, order: int | str = 1): ...
            >>> sorted(filters.texts("table"))
            ['file', 'parts']
        """
        parameters = inspect.signature(self.get(name)).parameters.values()
        words = {
            each.name: set(re.findall(r"\w+", inspect.formatannotation(each.annotation))) for each in parameters
        }
        return frozenset(name for name, found in words.items() if found & _TEXTS and not found & _OTHERS)

    def __contains__(self, name: object) -> bool:
        return name in self._factories or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _require(self, name: str) -> None:
        if name in self:
            return
        raise UnknownNameError(near_miss(self.kind, name, self.names()))

    def _entry_points(self) -> dict[str, importlib.metadata.EntryPoint]:
        if self.group is None:
            return {}
        return {point.name: point for point in importlib.metadata.entry_points(group=self.group)}

    def _load_plugin(self, name: str) -> Callable[..., Any]:
        point = self._entry_points()[name]
        try:
            factory = point.load()
        except Exception as error:
            owner = point.dist.name if point.dist else "an unknown distribution"
            raise ConfigError(f"{self.kind} {name!r} of {owner} cannot be loaded: {error}") from error
        self._loaded.add(name)
        self._factories.setdefault(name, factory)
        self._specs.setdefault(name, getattr(factory, "spec", None))
        return factory


_TEXTS = {"str", "Path", "PathLike"}
_OTHERS = {"int", "float", "dict", "Mapping", "Callable", "Literal"}
"""Types beside or in which a text is not simply a text."""


def _identity(factory: Callable[..., Any] | str) -> str:
    if isinstance(factory, str):
        return factory
    return f"{factory.__module__}:{factory.__qualname__}"
