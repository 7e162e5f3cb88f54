"""Holds messages against the schemas in ONVIF's WSDLs, read by libxml2 and not by zeep."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lxml import etree

XS = "http://www.w3.org/2001/XMLSchema"
FILES = {
    "http://www.onvif.org/ver10/credential/wsdl": "ver10/credential/wsdl/credential.wsdl",
    "http://www.onvif.org/ver10/accessrules/wsdl": "ver10/accessrules/wsdl/accessrules.wsdl",
    "http://www.onvif.org/ver10/events/wsdl": "ver10/events/wsdl/event.wsdl",
}


@cache
def schema_of(namespace: str) -> Any:
    """Return the schema of a service, None where there is none that libxml2 takes.

    ONVIF writes `any` after elements that may be missing or repeated, which XML Schema 1.0
    forbids; there the `any` is left out, so that the check is stricter than the standard.
    """
    if namespace not in FILES:
        return None
    spec = find_spec("onvif")
    assert spec is not None and spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]) / "wsdl" / FILES[namespace]
    parser = etree.XMLParser(no_network=True)
    schema = next(etree.parse(str(file), parser).iter(f"{{{XS}}}schema"))
    alone = etree.fromstring(etree.tostring(schema), parser, base_url=str(file))
    for wildcard in list(alone.iter(f"{{{XS}}}any")):
        parent = wildcard.getparent()
        assert parent is not None
        before = [each for each in parent if each.tag == f"{{{XS}}}element"]
        if any("minOccurs" in each.attrib or "maxOccurs" in each.attrib for each in before):
            parent.remove(wildcard)
    return etree.XMLSchema(etree.ElementTree(alone))


def violation(element: Any) -> str:
    """Return what does not fit in the body of a message, "" if all does or nothing is known."""
    schema = schema_of(etree.QName(element).namespace or "")
    if schema is None or schema.validate(etree.fromstring(etree.tostring(element))):
        return ""
    return f"{etree.QName(element).localname}: {schema.error_log.last_error}"
