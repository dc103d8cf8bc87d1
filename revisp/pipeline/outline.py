"""The outline of a pipeline: its tensors' names and shapes, without memory for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from revisp.errors import ConfigError
from revisp.limits import PARAMETERS_VARIABLE, max_parameters
from revisp.pipeline.model import ReverseISP

__all__ = ["outline"]

MOST_MODULES = 100_000
"""Most modules of a pipeline; the largest network here has a few thousand."""


_RANDOM = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_")
"""Functions that draw the initial values of a tensor in place."""


def outline(arguments: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of a pipeline by name, without memory for the tensors.

    Args:
        arguments: those of `ReverseISP`.

    Raises:
        ConfigError: an argument is wrong, or the pipeline has more than `max_parameters`.

    Example:
        >>> shapes = outline({"backbone": "unet", "backbone_kwargs": {"width": 4, "depth": 2}})
        >>> shapes["branches.oe.head.weight"]
        (3, 4, 1, 1)
    """
    with torch.device("meta"), _WithoutValues(), _bounded(max_parameters()):
        model = ReverseISP(**arguments)
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


class _WithoutValues(TorchFunctionMode):
    """Leave out random initial values. On tensors without memory, torch would load its compiler for them."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextlib.contextmanager
def _bounded(most: int) -> Iterator[None]:
    """Stop the construction of modules in this thread as soon as they have too many parameters."""
    thread, found = threading.get_ident(), {"parameters": 0, "modules": 0}

    def count(module: nn.Module, name: str, part: Any) -> None:
        if threading.get_ident() != thread or part is None:
            return
        if isinstance(part, nn.Parameter):
            found["parameters"] += part.numel()
        else:
            found["modules"] += 1
        if found["parameters"] > most or found["modules"] > MOST_MODULES:
            raise ConfigError(
                f"a network of more than {most / 1e6:.0f} million parameters or {MOST_MODULES} modules: if you "
                f"trust it, give --max-million-parameters, or set {PARAMETERS_VARIABLE} to more"
            )

    hooks = [register_module_parameter_registration_hook(count), register_module_module_registration_hook(count)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
