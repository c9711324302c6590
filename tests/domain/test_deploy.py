"""What is shipped for servers, as far as it can be read here: settings are known, commands are there, files are named."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from sqlalchemy.engine import make_url

from portal import cli
from portal.config import ROOT, Settings

DEPLOY, DOCS = ROOT / "deploy", (ROOT / "docs" / "deploy.md").read_text()
UNITS = sorted(DEPLOY.glob("*.service"))


def known_settings() -> set[str]:
    """Every variable that is read from the environment."""
    names = re.findall(r'env(?:\.get)?[\(\[](?:env, )?"([A-Z_]+)"|_whole\(env, "([A-Z_]+)"', _config())
    return {one or other for one, other in names} - {"PORTAL_DEMO"}


def _config() -> str:
    return (ROOT / "portal" / "config.py").read_text()


def must_be_a_command(words: list[str]) -> None:
    """Fails for what the portal command does not know."""
    command = cli.portal.commands[words[0]]
    command.make_context("portal", words[1:], resilient_parsing=False)


def test_the_settings_stand_in_the_readme_and_nothing_else_does() -> None:
    table = (ROOT / "README.md").read_text().partition("\n## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall("[A-Z_]+", row)} == known_settings()


def test_every_shipped_file_is_told_of() -> None:
    for path in DEPLOY.iterdir():
        stem = re.sub(r"@?\.(service|timer|conf|env)$", "", path.name)
        assert path.name in DOCS or stem in DOCS, path.name


def test_the_settings_file_is_taken(tmp_path: Path) -> None:
    lines = [line for line in (DEPLOY / "portal.env").read_text().splitlines() if line and not line.startswith("#")]
    given = dict(word.split("=", 1) for line in lines for word in shlex.split(line))
    assert set(given) <= known_settings()
    settings = Settings.from_env(given | {"INSTANCE_DIR": str(tmp_path)})
    assert settings.secure and settings.trusted_proxies == 1 and not settings.sqlite


def test_the_address_of_two_databases_is_taken_as_both(tmp_path: Path) -> None:
    (told,) = re.findall(r'^DATABASE_URL="([^"]+target_session_attrs[^"]+)"$', DOCS, re.MULTILINE)
    url = make_url(Settings.from_env({"DATABASE_URL": told, "INSTANCE_DIR": str(tmp_path)}).database_url)
    _, given = url.get_dialect()().create_connect_args(url)
    assert (given["host"], given["port"]) == ("db1.internal,db2.internal", "5432,5432")
    assert given["target_session_attrs"] == "read-write"


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_is_there(unit: Path) -> None:
    text = unit.read_text()
    (started,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    words = re.search(r"-m portal ([^']+)", started)
    assert words is not None
    must_be_a_command(shlex.split(words[1]))
    assert set(re.findall(r"^Environment=([A-Z_]+)=", text, re.MULTILINE)) <= known_settings() | {"PYTHONPYCACHEPREFIX"}
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
        said = [line for line in done.stderr.splitlines() if unit.name.split(".")[0].rstrip("@") in line]
        assert [line for line in said if "is not executable" not in line] == []


def test_the_commands_that_are_told_are_there() -> None:
    typed = "\n".join(re.findall(r"^```\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL))
    told = re.findall(r"^(?:sudo )?portal (.+?)(?: {2,}#.*)?$", typed, re.MULTILINE)
    assert len(told) >= 6
    for line in told:
        words = shlex.split(line)
        if words[0] in ("restore", "import-customers"):  # these look whether the file is there
            assert words[0] in cli.portal.commands
            continue
        try:
            must_be_a_command(words)
        except click.UsageError as wrong:
            pytest.fail(f"portal {line}: {wrong.message}")


# --- containers -----------------------------------------------------------------------------------------------

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_holds_all_that_the_portal_needs(tmp_path: Path) -> None:
    """Started from a folder with exactly what the Dockerfile copies, with its settings."""
    image = tmp_path / "image"
    image.mkdir()
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        *found, to = line.split()
        for name in found:
            put = image / to / (name if to.endswith("/") else "")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, put, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, put)
    (given,) = re.findall(r"^ENV (.+)$", DOCKERFILE, re.MULTILINE)
    environ = dict(pair.split("=", 1) for pair in given.split())
    assert set(environ) <= known_settings() | {"PYTHONPATH"}
    environ |= {"INSTANCE_DIR": str(tmp_path / "instance"), "PYTHONPATH": str(image), "PATH": os.environ["PATH"]}
    look = (
        "import portal, wsgi; from portal.web import serving; assert portal.__file__.startswith(%r), portal.__file__;"
        "page = wsgi.app.test_client().get('/login', base_url='http://127.0.0.1:8000'); assert page.status_code == 200"
    )
    for words in (["-m", "portal", "migrate"], ["-c", look % str(image)]):
        done = subprocess.run([sys.executable, *words], cwd=image, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (started,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    must_be_a_command(yaml.safe_load(started)[3:])


def test_the_compose_file_gives_the_portal_what_it_takes(tmp_path: Path) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(compose["services"]) == {"web", "worker", "database", "counts"}
    for name in ("web", "worker"):
        service = compose["services"][name]
        must_be_a_command(service["command"][3:])
        given = {
            key: re.sub(r"\$\{\w+:-([^}]*)\}|\$\{\w+:\?[^}]*\}", r"\1", text)
            for key, text in service["environment"].items()
        }
        assert set(given) <= known_settings()
        settings = Settings.from_env(given | {"INSTANCE_DIR": str(tmp_path)})
        assert not settings.sqlite and settings.redis_url and settings.secure
        used = {volume.split(":")[0] for volume in service["volumes"]}
        assert used <= set(compose["volumes"])
        assert set(service["depends_on"]) <= set(compose["services"])
    assert compose["services"]["web"]["ports"] == ["127.0.0.1:8000:8000"], "to the machine alone: a proxy ends TLS"
