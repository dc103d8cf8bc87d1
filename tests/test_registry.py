"""Names: near misses, lazy entries, plugins, and cells of a notebook that run twice."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisp.errors import ConfigError, UnknownNameError
from revisp.registry import Registry


def make(*names: str, group: str | None = None) -> Registry[str]:
    registry: Registry[str] = Registry("gadget", group)
    for name in names:
        registry.register(name, f"about {name}")(lambda name=name: name)
    return registry


class FakePoint:
    """Stands in for an entry point of an installed distribution."""

    class dist:
        name = "acme-gadgets"

    def __init__(self, name, load):
        self.name = name
        self.load = load


@pytest.fixture
def install(monkeypatch):
    """Pretend that distributions provide these entry points."""

    def add(**points):
        found = [FakePoint(name, load) for name, load in points.items()]
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: found if group == "test.gadgets" else []
        )

    return add


def test_a_near_miss_is_named():
    with pytest.raises(UnknownNameError, match=r"unknown gadget 'restormr': did you mean 'restormer'"):
        make("unet", "restormer").get("restormr")


def test_with_no_near_miss_all_names_are_listed():
    with pytest.raises(UnknownNameError, match=r"unknown gadget 'zzzzzz'\. Known: restormer, unet"):
        make("unet", "restormer").create("zzzzzz")


@given(st.integers(0, 8))
def test_any_dropped_letter_is_a_near_miss(at):
    with pytest.raises(UnknownNameError, match="did you mean 'restormer'"):
        make("unet", "restormer", "cycleisp").spec("restormer"[:at] + "restormer"[at + 1 :])


def test_names_are_sorted_and_filtered():
    registry = make("b", "a2", "a1")
    assert registry.names() == list(registry) == ["a1", "a2", "b"]
    assert registry.names("a*") == ["a1", "a2"]
    assert "b" in registry
    assert "c" not in registry


def test_a_lazy_entry_is_imported_only_when_asked_for():
    registry: Registry[str] = Registry("gadget")
    registry.register_lazy("missing", "no_such_module_of_ours:thing", "a spec")
    assert registry.names() == ["missing"]
    assert registry.spec("missing") == "a spec"
    with pytest.raises(ModuleNotFoundError):
        registry.get("missing")
    registry.register_lazy("decimal", "decimal:Decimal")
    assert str(registry.create("decimal", "1.5")) == "1.5"


def test_listing_backbones_loads_neither_torch_nor_networks():
    code = (
        "import sys; from revisp.backbones import BACKBONES, list_backbones;"
        "assert {'unet', 'smp', 'cycleisp'} <= set(list_backbones());"
        "assert BACKBONES.spec('unet').multiple_of == 16;"
        "heavy = {'torch', 'timm', 'segmentation_models_pytorch'} & set(sys.modules); assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_none_means_unset():
    registry: Registry[None] = Registry("gadget")

    @registry.register("box")
    def box(width=3, height=4):
        return width, height

    assert registry.create("box", width=None, height=7) == (3, 7)


def test_an_argument_the_factory_lacks_is_a_config_error():
    with pytest.raises(ConfigError, match=r"gadget 'unet': .*unexpected keyword argument 'widht'"):
        make("unet").create("unet", widht=3)


def test_a_type_error_inside_the_factory_is_not_hidden():
    registry: Registry[None] = Registry("gadget")
    registry.register("broken")(lambda: 1 + "1")
    with pytest.raises(TypeError, match="unsupported operand"):
        registry.create("broken")


def define(registry, answer):
    """Define what a notebook cell defines: the same module and qualified name each time."""

    @registry.register("mine", f"spec {answer}")
    def mine():
        return answer

    return mine


def test_running_a_cell_again_replaces_its_definition():
    registry = make("unet")
    define(registry, 1)
    define(registry, 2)
    assert registry.create("mine") == 2
    assert registry.spec("mine") == "spec 2"


def test_another_definition_of_a_taken_name_is_refused():
    registry = make("unet")
    with pytest.raises(ConfigError, match=r"'unet' is already registered .* pass override=True"):
        registry.register("unet", "other")(dict)
    assert registry.create("unet") == "unet"
    registry.register("unet", "other", override=True)(dict)
    assert registry.create("unet") == {}
    assert registry.spec("unet") == "other"


def test_a_plugin_is_listed_by_metadata_and_loaded_when_asked_for(install):
    loads = []

    def factory():
        return "made by a plugin"

    def load():
        loads.append("loaded")
        return factory

    install(sprocket=load)
    registry = make("unet", group="test.gadgets")
    assert registry.names() == ["sprocket", "unet"]
    assert loads == []
    assert registry.create("sprocket") == registry.create("sprocket") == "made by a plugin"
    assert loads == ["loaded"]
    assert registry.spec("sprocket") is None


def test_a_plugin_that_registers_itself_brings_its_spec(install):
    registry = make("unet", group="test.gadgets")

    def load():
        return registry.register("sprocket", "twelve teeth")(lambda: "turning")

    install(sprocket=load)
    assert registry.spec("sprocket") == "twelve teeth"
    assert registry.create("sprocket") == "turning"


def test_a_broken_plugin_names_its_distribution_and_harms_no_other(install):
    def load():
        raise ImportError("No module named 'gears'")

    install(sprocket=load)
    registry = make("unet", group="test.gadgets")
    assert registry.create("unet") == "unet"
    with pytest.raises(ConfigError, match="gadget 'sprocket' of acme-gadgets cannot be loaded: No module named"):
        registry.get("sprocket")


def test_a_registry_without_a_group_reads_no_entry_points(monkeypatch):
    def refuse(group):
        raise AssertionError(group)

    monkeypatch.setattr(importlib.metadata, "entry_points", refuse)
    assert make("unet").names() == ["unet"]
