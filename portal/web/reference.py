"""Reference: the API's description for machines and for people. One document; the page shows what stands in it."""

import json
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, render_template
from flask.typing import ResponseReturnValue

from portal.config import Settings
from portal.web import openapi

blueprint = Blueprint("reference", __name__, url_prefix="/api")


@dataclass(frozen=True)
class Field:
    """One field of an object, or one parameter of a call. `kinds`: JSON Schema's words for what it is; `objects`: the
    names of other objects that it holds; `words`: those that it may be."""

    name: str
    kinds: list[str]
    objects: list[str]
    words: list[str]
    limits: list[tuple[str, Any]]
    required: bool
    description: str


@blueprint.get("/v1/openapi.json")
def document() -> ResponseReturnValue:
    """The document itself."""
    return Response(json.dumps(_document(), ensure_ascii=False), mimetype="application/json")


@blueprint.get("/docs")
def page() -> ResponseReturnValue:
    """The document as a page."""
    said = _document()
    return render_template(
        "public/api.html",
        said=said,
        calls=[
            (method.upper(), path, operation, _parameters(operation))
            for path, methods in said["paths"].items()
            for method, operation in methods.items()
        ],
        objects={name: _fields(schema) for name, schema in said["components"]["schemas"].items()},
        named=_named,
    )


def _document() -> dict[str, Any]:
    settings: Settings = current_app.extensions["settings"]
    return openapi.document(settings.base_url)


def _fields(schema: dict[str, Any]) -> list[Field]:
    required = set(schema.get("required", ()))
    return [_field(name, said, required=name in required) for name, said in schema["properties"].items()]


def _parameters(operation: dict[str, Any]) -> list[Field]:
    return [
        _field(one["name"], one["schema"] | {"description": one["description"]}, required=one.get("required", False))
        for one in operation.get("parameters", ())
    ]


LIMITS = ("minLength", "maxLength", "minimum", "maximum", "default")


def _field(name: str, said: dict[str, Any], *, required: bool) -> Field:
    kinds, objects, words = list[str](), list[str](), list[str]()
    limits: dict[str, Any] = {}
    for part in [said, *said.get("anyOf", ())]:
        inner = part.get("items", part)
        limits |= {limit: part[limit] for limit in LIMITS if part.get(limit) not in (None, "")}
        words += inner.get("enum", ())
        objects += [_named(inner)] if "$ref" in inner else []
        kinds += [kind] if (kind := part.get("format") or part.get("type")) else []
    return Field(name, kinds, objects, words, list(limits.items()), required, said["description"])


def _named(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
