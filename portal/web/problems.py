"""Problems: what the API says when it says no, as RFC 9457 has it."""

import json
from http import HTTPStatus

from flask import Response


def answer(status: int, detail: str = "", *, errors: list[dict[str, str]] | None = None) -> Response:
    """An `application/problem+json` answer; `errors` names fields: `[{"field": "amount_minor", "message": …}]`."""
    said: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail:
        said["detail"] = detail
    if errors:
        said["errors"] = errors
    response = Response(json.dumps(said), status, mimetype="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return response
