"""Assets: the files under `static/`, read once at the start and served from memory.

Every address carries one hash over all of them (`/assets/<hash>/js/copy.js`), so a browser may keep a file for a
year and still gets the new one at once; and since the hash is a folder, the relative `url(…)` and `import` inside
the files go on working. `portal.css` is not a file: it is the whole style sheet, joined here in the order of its
layers, so that a page needs one request for it before the first paint and there is no build step.

Invariant: what is served is what was on disk when the process started, except in debug mode, where it is read anew.
"""

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, current_app, g, request, url_for

from portal.config import ROOT

blueprint = Blueprint("assets", __name__)

STYLE_SHEET = "portal.css"

# The cascade layers, lowest first; see static/css. A pattern may name several files, which then come by name.
LAYERS = {
    "vendor": ["vendor/bootstrap/bootstrap.min.css"],
    "tokens": ["css/tokens.css"],
    "base": ["css/base.css"],
    "layout": ["css/layout.css"],
    "components": ["css/components/*.css"],
    "pages": ["css/pages.css"],
}

FOREVER = "public, max-age=31536000, immutable"
BRIEFLY = "public, max-age=60"

# Worth compressing. Fonts and pictures are compressed already.
TEXT = {".css", ".js", ".svg", ".txt"}

# What Python's table of types leaves to the machine it runs on.
TYPES = {".woff2": "font/woff2", ".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}


@dataclass(frozen=True)
class Asset:
    """One file as it is sent: its bytes, whether they are worth compressing, its media type."""

    body: bytes
    shrinks: bool
    mimetype: str

    @cached_property
    def gzipped(self) -> bytes:
        """The same compressed, when it is first asked for: to compress them all takes a thirtieth of a start."""
        return gzip.compress(self.body, 9, mtime=0)


@dataclass(frozen=True)
class Assets:
    """All files by their path under `static/`, and the hash that stands in their addresses."""

    files: dict[str, Asset]
    digest: str


def init_app(app: Flask) -> None:
    """Read the files of `static/` and give templates `asset_url`."""
    app.extensions["assets"] = read(ROOT / "static")
    app.register_blueprint(blueprint)
    app.add_template_global(asset_url)


def asset_url(name: str) -> str:
    """The address of a file under `static/`, or of `portal.css`. Raises KeyError for a file that is not there,
    so that a slip of the pen in a template fails in its test."""
    assets = _assets()
    assets.files[name]
    return url_for("assets.show", digest=assets.digest, name=name)


@blueprint.get("/assets/<digest>/<path:name>")
def show(digest: str, name: str) -> Response:
    """Send one asset. A page that was open over an update asks by the old hash: it gets the present file, but must
    not keep it under the old name."""
    assets = _assets()
    asset = assets.files.get(name)
    if asset is None:
        abort(404)
    small = asset.gzipped if asset.shrinks and request.accept_encodings.quality("gzip") else None
    response = Response(small or asset.body, mimetype=asset.mimetype)
    if small:
        response.content_encoding = "gzip"
    if asset.shrinks:
        response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = FOREVER if digest == assets.digest and not current_app.debug else BRIEFLY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def read(folder: Path) -> Assets:
    """Read every file under `folder` and join the style sheet."""
    bodies = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    bodies[STYLE_SHEET] = style_sheet(folder).encode()
    digest = hashlib.sha256()
    for name, body in bodies.items():
        digest.update(f"{name}\0{len(body)}\0".encode())
        digest.update(body)
    return Assets({name: _asset(name, body) for name, body in bodies.items()}, digest.hexdigest()[:16])


def style_sheet(folder: Path) -> str:
    """All style sheets in one, each inside its layer, the layers declared first.

    Colours are written once as `light-dark(light, dark)`. Browsers from before 2024 do not know that function; for
    them the light values follow again under `@supports not`."""
    parts = [f"@layer {','.join(LAYERS)};"]
    for layer, patterns in LAYERS.items():
        for path in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
            parts.append(f"@layer {layer}{{{_bare(path.read_text(encoding='utf-8'))}}}")
            if layer == "tokens":
                parts.append(f"@layer {layer}{{@supports not (color:light-dark(#000,#fff)){{{_light_only(path)}}}}}")
    return "\n".join(parts)


def _light_only(path: Path) -> str:
    """The tokens that differ by theme, with their light value."""
    pairs = re.findall(r"(--[\w-]+):\s*light-dark\(([^,()]+),", _bare(path.read_text(encoding="utf-8")))
    return ":root{color-scheme:light;" + "".join(f"{name}:{value};" for name, value in pairs) + "}"


def _bare(css: str) -> str:
    """The style sheet without what only its readers need; a licence (`/*!`) stays. `@charset` may not stand inside a
    layer, and the source map is not ours to serve."""
    css = re.sub(r'@charset "[^"]*";', "", css)
    css = re.sub(r"/\*(?!!).*?\*/", "", css, flags=re.DOTALL)
    return re.sub(r"\n\s*", "\n", css).strip()


def _asset(name: str, body: bytes) -> Asset:
    suffix = Path(name).suffix
    kind = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(body, suffix in TEXT and len(body) > 512, kind)


def _assets() -> Assets:
    if current_app.debug:
        if "assets" not in g:
            g.assets = read(ROOT / "static")
        fresh: Assets = g.assets
        return fresh
    found: Assets = current_app.extensions["assets"]
    return found
