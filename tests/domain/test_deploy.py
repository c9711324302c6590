"""What is shipped for servers, as far as it can be read here: settings are known, commands are there, files are named."""

import getpass
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
from flask import Flask
from sqlalchemy.engine import make_url

from portal import backup, cli
from portal.config import ROOT, Settings
from portal.core import clock, database
from portal.web import gate

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
    words = re.search(r"/usr/local/bin/portal ([^']+)", started)
    assert words is not None
    must_be_a_command(shlex.split(words[1]))
    assert set(re.findall(r"^Environment=([A-Z_]+)=", text, re.MULTILINE)) <= known_settings()
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
        said = [line for line in done.stderr.splitlines() if unit.name.split(".")[0].rstrip("@") in line]
        assert [line for line in said if "is not executable" not in line] == []


TYPED = "\n".join(re.findall(r"^```\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL))


def test_the_commands_that_are_told_are_there() -> None:
    told = re.findall(
        r"^(?:sudo portal |docker compose .*python -m portal )(?:--settings \S+ )?(.+?)(?: {2,}#.*)?$",
        TYPED,
        re.MULTILINE,
    )
    assert len(told) >= 14
    for line in told:
        words = [word for word in shlex.split(line) if not word.endswith(".backup") or line.split()[0] == "backup"]
        if words[0] in ("restore", "import-customers"):  # these look whether the file is there
            words.append(__file__)
        try:
            must_be_a_command(words)
        except click.UsageError as wrong:
            pytest.fail(f"portal {line}: {wrong.message}")


def test_what_is_typed_is_installed_before_and_settings_that_are_named_are_there() -> None:
    installed = {word for line in re.findall("apt install (.+)", TYPED) for word in line.split()}
    for program in ("curl", "git", "nginx", "certbot"):
        assert re.search(rf"\b{program} ", TYPED.replace(f"apt install {program}", "")) and program in installed
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)[`=]|^([A-Z]+(?:_[A-Z]+)+)=", DOCS, re.MULTILINE))
    assert len(named) >= 8 and {one or other for one, other in named} <= known_settings()


def test_what_is_told_of_a_release_goes_by_its_own_folder_or_by_the_link() -> None:
    for path in (*DEPLOY.iterdir(), ROOT / "docs" / "deploy.md"):
        for found in re.findall(r"/opt/portal/([\w.$]*)", path.read_text()):
            assert found in ("", "now", "$"), f"{path.name}: /opt/portal/{found}"
    units = (DEPLOY / "portal-web@.service").read_text()
    assert "Conflicts=portal.service" in units, "both listen on 8001"


def test_nginx_takes_the_largest_form_and_listens_on_both_kinds_of_addresses() -> None:
    site = (DEPLOY / "nginx.conf").read_text()
    (takes,) = re.findall(r"client_max_body_size +(\d+)m;", site)
    assert int(takes) << 20 > max(gate.LARGER.values())
    listens = re.findall(r"listen (\S+?)(?: ssl)?;", site)
    assert sorted(listens) == ["443", "80", "[::]:443", "[::]:80"]


# --- the command ----------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """The shipped command with nothing changed but its paths and its user, beside two releases. The Python of each
    says who it is; with a PYTHONPATH it is then this one."""
    text = (DEPLOY / "portal").read_text()
    for found, put in (
        ("/etc/portal", str(tmp_path / "etc")), ("/opt/portal", str(tmp_path / "opt")),
        ("!= portal ]", f"!= {getpass.getuser()} ]"),
    ):  # fmt: skip
        assert found in text
        text = text.replace(found, put)
    command = tmp_path / "portal"
    command.write_text(text)
    command.chmod(0o755)
    for release in ("one", "two"):
        python = tmp_path / "opt" / release / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(
            f'#!/bin/sh\necho "$0" >>{tmp_path}/started\n[ -z "$PYTHONPATH" ] || exec {sys.executable} "$@"\n'
        )
        python.chmod(0o755)
    (tmp_path / "opt" / "now").symlink_to(tmp_path / "opt" / "one")
    (tmp_path / "etc").mkdir()
    return command


def typed(command: Path, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The command run, with bytecode where it is kept already."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": ""} | environ
    command.write_text(re.sub(r"^export PYTHONPYCACHEPREFIX=.*$", "", command.read_text(), flags=re.MULTILINE))
    environ |= {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ}
    return subprocess.run([str(command), *words], env=environ, capture_output=True, text=True, timeout=60)


def test_a_process_runs_from_its_releases_own_folder_whatever_the_link_says_later(
    shipped: Path, tmp_path: Path
) -> None:
    (tmp_path / "etc" / "portal.env").write_text(f"INSTANCE_DIR={tmp_path}/live\n")
    now = tmp_path / "opt" / "now"
    assert typed(shipped, "--version").returncode == 0
    now.unlink()
    now.symlink_to(tmp_path / "opt" / "two")
    assert typed(shipped, "--version").returncode == 0
    started = (tmp_path / "started").read_text().split()
    assert started == [f"{tmp_path}/opt/{release}/.venv/bin/python" for release in ("one", "two")]


def test_a_backup_is_tried_out_beside_the_portal_and_not_on_it(app: Flask, shipped: Path, tmp_path: Path) -> None:
    backup.make(tmp_path / "b", database.db.engine, app.extensions["settings"], at=clock.now())
    live, other = tmp_path / "live", tmp_path / "other"
    settings = f"INSTANCE_DIR={live}\nDATABASE_URL=sqlite:///{live}/portal.db\n"
    (tmp_path / "etc" / "portal.env").write_text(settings)
    (tmp_path / "etc" / "try.env").write_text(f"INSTANCE_DIR={other}\n")
    tried = ("--settings", str(tmp_path / "etc" / "try.env"), "restore", "--replace", str(tmp_path / "b"))
    from_outside = {"INSTANCE_DIR": str(live), "DATABASE_URL": f"sqlite:///{live}/portal.db"}
    done = typed(shipped, *tried, PYTHONPATH=str(ROOT), **from_outside)
    assert done.returncode == 0 and "The books are right" in done.stdout, done.stderr
    assert (other / "portal.db").exists() and not live.exists()


def test_with_other_settings_none_of_the_portals_own_is_left() -> None:
    (unset,) = re.findall(r"unset ((?:.|\\\n)+?)\nfi", (DEPLOY / "portal").read_text())
    assert set(unset.replace("\\", " ").split()) == known_settings()


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
    assert compose["services"]["web"]["ports"] == ["127.0.0.1:8001:8000"], "to the machine alone: a proxy ends TLS"
    assert "server 127.0.0.1:8001 " in (DEPLOY / "nginx.conf").read_text()
    from_outside = known_settings() - {
        "INSTANCE_DIR",
        "HOST",
        "PORT",
        "LOG_FORMAT",
        "SECRET_KEY",
    }  # the image's, the volume's
    assert from_outside <= set(compose["services"]["web"]["environment"])
