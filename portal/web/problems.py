"""Problems: what the API says when it says no, as RFC 9457 has it."""

import json
from http import HTTPStatus

from flask import Response

from portal.core.text import marked

USUAL = {
    400: marked("The request cannot be read: no JSON, or a sign that cannot be kept."),
    404: "There is no such call.",
    405: "This is called in another way: Allow says in which.",
    413: marked("The body is larger than a megabyte."),
    429: marked("Too many wrong keys. Wait as long as Retry-After says, in seconds."),
    500: "Something broke on our side. Nothing was changed.",
    503: marked("The database is busy or away. Nothing was changed; try again as Retry-After says."),
}
"""What is said of a no that comes before any call, or in the place of its answer."""


def usual(status: int) -> Response:
    """The answer to what no call was asked about, or could not answer."""
    return answer(status, USUAL.get(status) or USUAL[400 if status < 500 else 500])


def answer(status: int, detail: str, *, errors: list[dict[str, str]] | None = None) -> Response:
    """An `application/problem+json` answer; `errors` names fields: `[{"field": "amount_minor", "message": …}]`."""
    said: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        said["errors"] = errors
    response = Response(json.dumps(said), status, mimetype="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return response
