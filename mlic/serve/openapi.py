"""The description of the server that /openapi.json gives, made from the structures that it reads and answers."""

from typing import Any

import msgspec

from mlic import __version__
from mlic.serve.answers import Answer, Health, Model, Problem
from mlic.serve.bodies import JsonBody

__all__ = ["openapi"]

_PROBLEMS = {
    400: "malformed",
    403: "a browser asks for a page from elsewhere",
    408: "the body did not come in time",
    413: "too long, or too many images",
    415: "neither multipart/form-data nor application/json",
    421: "the server has no such name",
    429: "too many requests at once; Retry-After tells when to come back",
    500: "a fault of the server, which is in its log",
    503: "not done in time",
}


def openapi(explains: bool) -> dict[str, Any]:
    """Returns the description, as OpenAPI 3.1.

    Args:
        explains: whether there are heat maps.
    """
    structures = [Answer, Health, JsonBody, Model, Problem]
    _, schemas = msgspec.json.schema_components(structures, ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {
        "/predict": {"post": _predict()},
        "/classes": {"get": _get("The model: its classes, thresholds and limits", _json("Model"))},
        "/health": {"get": _get("Says that requests are answered", _json("Health"))},
        "/metrics": {"get": _get("Counters in the text format of Prometheus", {"text/plain": {}})},
    }
    if explains:
        paths["/explain"] = {"post": _explain()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "mlic serve", "version": __version__, "description": "Labels images with one model."},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _get(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "as it says", "content": content}}}


def _body() -> dict[str, Any]:
    files = {"type": "array", "minItems": 1, "items": {"type": "string", "contentMediaType": "image/*"}}
    form = {"type": "object", "required": ["images"], "properties": {"images": files}}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}, **_json("JsonBody")}}


def _problems() -> dict[str, Any]:
    return {str(status): {"description": reason, "content": _json("Problem")} for status, reason in _PROBLEMS.items()}


def _predict() -> dict[str, Any]:
    return {
        "summary": "Labels and scores of one or many images",
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "schema": {"type": "string", "enum": ["handling=lenient"]},
                "description": "answers 200, not 422, where none of the images can be read",
            }
        ],
        "requestBody": _body(),
        "responses": {
            "200": {"description": "of each image, or why it cannot be read", "content": _json("Answer")},
            "422": {"description": "none of the images can be read", "content": _json("Answer")},
            **_problems(),
        },
    }


def _explain() -> dict[str, Any]:
    name = {"name": "class", "in": "query", "required": True, "schema": {"type": "string"}}
    return {
        "summary": "Where one image shows one class: the image with a heat map over it",
        "parameters": [name],
        "requestBody": _body(),
        "responses": {
            "200": {"description": "the picture", "content": {"image/png": {}}},
            "422": {"description": "the image cannot be read, or there is no such class", "content": _json("Problem")},
            **_problems(),
        },
    }
