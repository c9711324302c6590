"""Brings the catalogues up to date: reads every sentence out of the code, puts new ones in, compiles.

    .venv/bin/python translations/update.py

Sentences are marked with gettext, ngettext, `_`, `_l` or, where there is no request, `marked`. What is new stands in
`translations/<language>/LC_MESSAGES/messages.po` with an empty `msgstr`: fill it in and run this again. What nobody
says any more is taken out. Both files are committed, so that the portal runs from a checkout.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "translations"
KEYWORDS = {**DEFAULT_KEYWORDS, "_l": None, "lazy_gettext": None, "lazy_ngettext": (1, 2), "marked": None}
WHERE = {"portal", "templates"}


def languages() -> list[str]:
    """The languages that have a catalogue."""
    return sorted(path.parents[1].name for path in FOLDER.glob("*/LC_MESSAGES/messages.po"))


def po(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


def extracted() -> Catalog:
    """Every sentence of the code and the templates, with the files that say it."""
    with (FOLDER / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found: dict[str | tuple[str, ...], set[str]] = {}
    listed = extract_from_dir(ROOT, methods, options, KEYWORDS, directory_filter=_holds_sentences)
    for path, _, message, _, _ in listed:
        found.setdefault(message, set()).add(Path(path).as_posix())
    catalog = Catalog(charset="utf-8")
    for message in sorted(found, key=lambda one: (min(found[one]), one if isinstance(one, str) else one[0])):
        catalog.add(message, locations=[(path, 0) for path in sorted(found[message])])
    return catalog


def _holds_sentences(folder: str) -> bool:
    inside = Path(folder).relative_to(ROOT).parts
    return not inside or inside[0] in WHERE


def read(language: str) -> Catalog:
    """The catalogue of a language as it stands."""
    with po(language).open("rb") as file:
        return read_po(file, locale=language, charset="utf-8")


def said(catalog: Catalog) -> dict[str | tuple[str, ...], str | tuple[str, ...]]:
    """Every sentence with its translation."""
    return {message.id: message.string for message in catalog if message.id}


def updated(language: str, template: Catalog) -> Catalog:
    """The catalogue of a language with exactly the sentences of a template, in its order."""
    old = read(language)
    new = Catalog(language, project="Referral portal", version="1", charset="utf-8", fuzzy=False, header_comment="",
                  msgid_bugs_address="-", last_translator="-", language_team="-")  # fmt: skip
    new.creation_date, new.revision_date = old.creation_date, old.revision_date
    for message in template:
        if message.id:
            before = old.get(message.id)
            new.add(message.id, _string(message, before), locations=message.locations)
    if said(new) != said(old):
        new.revision_date = datetime.now(UTC)
    return new


def _string(message: Message, before: Message | None) -> str | tuple[str, ...]:
    """The translation that there is; none if the sentence has become one with a plural, or has been one."""
    if before is not None and before.pluralizable == message.pluralizable and not before.fuzzy:
        return before.string
    return ("", "") if message.pluralizable else ""


def main() -> int:
    template = extracted()
    missing = 0
    for language in languages():
        catalog = updated(language, template)
        with po(language).open("wb") as file:
            write_po(file, catalog, width=0)
        with po(language).with_suffix(".mo").open("wb") as file:
            write_mo(file, catalog)
        open_ones = [m for m in catalog if m.id and not all(m.string if m.pluralizable else [m.string])]
        for message in open_ones:
            print(f"{language}: {message.id!r}")
        print(f"{language}: {len(catalog)} sentences, {len(open_ones)} to translate")
        missing += len(open_ones)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
