"""XMP packets: descriptive properties of a photo, and properties of ours (ISO 16684-1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from xml.etree import ElementTree

__all__ = [
    "DESCRIPTIVE",
    "NAMESPACES",
    "Property",
    "property_values",
    "read_packet",
    "simple_property",
    "write_packet",
]

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"

NAMESPACES: Mapping[str, str] = MappingProxyType(
    {
        "dc": "http://purl.org/dc/elements/1.1/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "revisp": "urn:revisp:prediction:1.0/",
    }
)
"""Namespaces that are written, by their usual prefixes."""

for _prefix, _uri in (*NAMESPACES.items(), ("rdf", _RDF), ("x", _META)):
    ElementTree.register_namespace(_prefix, _uri)


class Property(NamedTuple):
    """A property of a packet.

    Attributes:
        name: prefix and name, as ``"xmp:Rating"``.
        element: its element.
    """

    name: str
    element: ElementTree.Element


class _Meaning(NamedTuple):
    is_place: bool


def _described(prefix: str, names: str, *, is_place: bool = False) -> dict[str, _Meaning]:
    return {f"{prefix}:{name}": _Meaning(is_place) for name in names.split()}


DESCRIPTIVE: Mapping[str, _Meaning] = MappingProxyType(
    _described("dc", "title description creator subject rights source language")
    | _described("xmp", "Rating Label")
    | _described("xmpRights", "Marked Owner UsageTerms WebStatement Certificate")
    | _described("photoshop", "Headline Credit Source AuthorsPosition CaptionWriter Instructions")
    | _described("photoshop", "City State Country", is_place=True)
    | _described("Iptc4xmpCore", "CreatorContactInfo IntellectualGenre Scene SubjectCode AltTextAccessibility")
    | _described("Iptc4xmpCore", "Location CountryCode", is_place=True)
    | _described("Iptc4xmpExt", "PersonInImage Event")
    | _described("Iptc4xmpExt", "LocationCreated LocationShown", is_place=True)
)
"""Properties that describe what a photo shows and who made it, and that hold for a RAW of it. Others concern the
photo's file, or its editing, which a converter would apply again."""


def read_packet(packet: bytes) -> tuple[Property, ...]:
    """Return the descriptive properties of a packet, in its order; nothing if it is damaged.

    Example:
        >>> [entry.name for entry in read_packet(write_packet([simple_property("xmp:Rating", "4")]))]
        ['xmp:Rating']
    """
    names = {f"{{{uri}}}": f"{prefix}:" for prefix, uri in NAMESPACES.items()}
    found: dict[str, Property] = {}
    for element in _properties(packet):
        space, _, local = element.tag.rpartition("}")
        name = names.get(f"{space}}}", "?") + local
        if name in DESCRIPTIVE:
            found.setdefault(name, Property(name, element))
    return tuple(found.values())


def property_values(packet: bytes, prefix: str) -> dict[str, str]:
    """Return the plain texts of a packet's properties of one namespace, by name; nothing if it is damaged.

    Example:
        >>> property_values(write_packet([simple_property("revisp:Model", "default")]), "revisp")
        {'Model': 'default'}
    """
    space = f"{{{NAMESPACES[prefix]}}}"
    texts = {element.tag: element.text for element in _properties(packet) if element.tag.startswith(space)}
    return {tag.removeprefix(space): text for tag, text in texts.items() if text}


def simple_property(name: str, text: str) -> Property:
    """Return a property with a plain text; characters that XML forbids are removed."""
    prefix, _, local = name.partition(":")
    element = ElementTree.Element(f"{{{NAMESPACES[prefix]}}}{local}")
    element.text = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)
    return Property(name, element)


def write_packet(properties: Iterable[Property]) -> bytes:
    """Return a packet that holds properties, UTF-8."""
    meta = ElementTree.Element(f"{{{_META}}}xmpmeta")
    description = ElementTree.SubElement(
        ElementTree.SubElement(meta, f"{{{_RDF}}}RDF"), f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""}
    )
    description.extend(entry.element for entry in properties)
    body: bytes = ElementTree.tostring(meta, encoding="utf-8", xml_declaration=False)
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
    return begin + body + b'\n<?xpacket end="w"?>'


def _properties(packet: bytes) -> list[ElementTree.Element]:
    """Return all properties of a packet as elements; short forms, which are attributes, become elements."""
    try:
        root = ElementTree.fromstring(packet.strip(b"\0 \n\r\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return []
    found: list[ElementTree.Element] = []
    for description in root.iter(f"{{{_RDF}}}Description"):
        for name, text in description.attrib.items():
            element = ElementTree.Element(name)
            element.text = text
            found.append(element)
        found.extend(description)
    return found
