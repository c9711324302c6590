"""Importing at the desk: a CSV file is checked first, by rehearsing it; nothing is taken before it is confirmed."""

import io
from pathlib import Path

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal import imports as imports_
from portal.core import clock
from portal.core.text import Refusal, marked
from portal.imports import FileRefused, Form, Taken
from portal.web import access, inputs, limits, uploads, words
from portal.web.admin.room import blueprint

FORMS: dict[str, Form] = {"customers": imports_.CUSTOMERS, "orders": imports_.CONVERSIONS}
MOST_FAULTS_SHOWN = 100
ENDINGS = (".csv", ".txt")


@blueprint.get("/imports")
@access.needs("own")
def imports() -> ResponseReturnValue:
    return _page(inputs.money.ImportedFile(formdata=None))


def _page(form: inputs.money.ImportedFile) -> str:
    return render_template("admin/imports.html", form=form, forms_of_files=FORMS, currency=words.in_force().currency)


@blueprint.post("/imports")
@access.needs("own")
@limits.own_forms
def check_import() -> ResponseReturnValue:
    """Says what would become of each row, and keeps the file until it is confirmed."""
    form = inputs.money.ImportedFile()
    if not form.validate():
        return _page(form), 422
    sent = request.files.get("file")
    if sent is not None and sent.filename and not sent.filename.lower().endswith(ENDINGS):
        form.rows.errors = [gettext("Choose a file whose name ends in .csv or .txt.")]
        return _page(form), 422
    file = sent.stream if sent is not None and sent.filename else io.BytesIO(_utf8(form.rows.data or ""))
    name = uploads.keep(file, form.kind.data, by=access.me().public_id)
    path, kind = uploads.find(name, by=access.me().public_id) or abort(404)
    try:
        taken = _run(path, kind, act=False)
    except Refusal as refusal:
        path.unlink(missing_ok=True)
        form.rows.errors = [words.say(refusal)]
        return _page(form), 422
    if not taken.made + taken.waiting:
        path.unlink(missing_ok=True)
    return _told(taken, kind, name=name)


def _utf8(pasted: str) -> bytes:
    """Pasted rows as the bytes of a file; what is no letter is told at its line."""
    return pasted.encode("utf-8", errors="surrogatepass")


def _run(path: Path, kind: str, *, act: bool) -> Taken:
    """Rehearses a file, or takes it. Raises FileRefused."""
    with path.open("rb") as raw:
        _must_be_text(raw.read(4))
    form, at = FORMS[kind], clock.now()
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = imports_.rows(file, form)
        return imports_.take(rows, form, at=at) if act else imports_.rehearse(rows, form, at=at)


def _must_be_text(start: bytes) -> None:
    if not start.strip():
        raise FileRefused(marked("Choose a file, or paste rows."))
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileRefused(marked("This file is in UTF-16. Save it as CSV in UTF-8."))
    if start.startswith(b"PK\x03\x04"):
        raise FileRefused(marked("This is a workbook. Save its sheet as CSV in UTF-8."))


def _told(taken: Taken, kind: str, *, name: str | None) -> str:
    """The page that says what would become of a file, with the button; without a name what became of it."""
    return render_template(
        "admin/imported.html",
        taken=taken,
        kind=kind,
        name=name,
        faults=[(fault.line, fault.column, words.say(fault.refusal)) for fault in taken.faults[:MOST_FAULTS_SHOWN]],
    )


@blueprint.post("/imports/<wanted>/confirmation")
@access.needs("own")
def confirm_import(wanted: str) -> ResponseReturnValue:
    """Takes the file that was checked; a second time changes nothing."""
    me = access.me()
    number, found = me.id, uploads.find(wanted, by=me.public_id)
    if found is None:
        said = gettext("This file was taken already, or is not kept any more. Send it again to see what is there.")
        flash(said, "wait")
        return redirect(url_for(".imports"))
    path, kind = found
    taken = _run(path, kind, act=True)
    imports_.note(taken, kind=kind, name=wanted, by=number, at=clock.now())
    path.unlink(missing_ok=True)
    return _told(taken, kind, name=None)
