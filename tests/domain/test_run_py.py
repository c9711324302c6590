"""run.py: the way in from a bare checkout, tried as a stranger would meet it.

Every test runs the real file in a process of its own, in a checkout of its own with a portal that only says
what it was given. What stands in the way is told in one sentence with the remedy, and never by a traceback.
"""

import ast
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Runs ./run.py after doing to this Python what the first argument says.
WITH_ANOTHER_PYTHON = """
import runpy, sys
exec(sys.argv[1])
sys.argv[:] = ["run.py", *sys.argv[2:]]
runpy.run_path("run.py", run_name="__main__")
"""

STUB_PORTAL = """
import importlib.metadata, os, sys, time
print("portal", *sys.argv[1:], "with part", importlib.metadata.version("part"), "in", os.getcwd(), flush=True)
if "sleep" in sys.argv:
    time.sleep(60)
sys.exit(3 if "fail" in sys.argv else 0)
"""


def make_checkout(folder):
    """A checkout whose locks name one part, and beside it a folder `index` that has the part."""
    (folder / "portal").mkdir(parents=True)
    shutil.copy(ROOT / "run.py", folder)
    (folder / "portal" / "__init__.py").touch()
    (folder / "portal" / "__main__.py").write_text(STUB_PORTAL)
    wheel = folder.parent / "index" / "part-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        about = "part-1.0.dist-info/"
        archive.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: part\nVersion: 1.0\n")
        archive.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(about + "RECORD", "".join(f"{about}{n},,\n" for n in ("METADATA", "WHEEL", "RECORD")))
    line = f"part==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    (folder / "requirements.lock").write_text(line)
    (folder / "requirements-dev.lock").write_text(line)
    return folder


@pytest.fixture
def checkout(tmp_path):
    """Nothing is installed yet; the path has a space in it, as people's have."""
    return make_checkout(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    checkout = make_checkout(tmp_path_factory.mktemp("installed") / "a checkout")
    result = run(checkout, "portal", "doctor", env=index_of(checkout))
    assert result.returncode == 0, result.stderr
    return checkout


def environment(**settings):
    """This machine's environment without its own settings for pip, uv, HOST and PORT."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_")) and k not in {"HOST", "PORT"}}
    kept.pop("PYTHONPYCACHEPREFIX", None)  # set by the run.py that runs these tests
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", **settings}


def index_of(checkout):
    folder = (checkout.parent / "index").as_uri()  # pip takes a space for the end of a path
    return environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=folder, UV_OFFLINE="1", UV_FIND_LINKS=folder)


def run(checkout, *arguments, python=(), env=None, cwd=None):
    return subprocess.run(
        [sys.executable, *(python or [checkout / "run.py"]), *arguments],
        cwd=cwd or checkout,
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_refused(result, *words):
    """One sentence on stderr that has these words in it, nothing on stdout, a non-zero exit."""
    sentences = [line for line in result.stderr.splitlines() if not line.startswith("Installing the portal's")]
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(sentences) == 1 and sentences[0].endswith("."), result.stderr
    for word in words:
        assert word in sentences[0]


def closed_port():
    """A loopback port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_without_a_command_it_says_what_there_is(checkout, arguments):
    result = run(checkout, *arguments)
    assert result.returncode == 0
    for command in ("demo", "serve", "test", "portal"):
        assert f"python3 run.py {command}" in result.stdout
    assert not (checkout / ".venv").exists()


def test_a_command_that_there_is_not(checkout):
    assert_refused(run(checkout, "start"), "'start'", "demo, serve, test, portal")


def test_too_old_a_python_is_told_which_one_is_needed(checkout):
    patched = ["-c", WITH_ANOTHER_PYTHON, "sys.version_info = (3, 8, 18)"]
    result = run(checkout, "demo", python=patched, env=environment(PATH=""))
    assert_refused(result, "needs Python 3.11 or newer", "this is 3.8.18", "install a newer one")


@pytest.mark.skipif(os.name != "posix", reason="a stand-in for a newer Python is a shell script")
def test_too_old_a_python_is_told_of_a_newer_one_that_is_there(checkout, tmp_path):
    (tmp_path / "python3.12").write_text("#!/bin/sh\n")
    (tmp_path / "python3.12").chmod(0o755)
    patched = ["-c", WITH_ANOTHER_PYTHON, "sys.version_info = (3, 8, 18)"]
    result = run(checkout, "demo", python=patched, env=environment(PATH=str(tmp_path)))
    assert_refused(result, "type python3.12 run.py demo.")


def test_an_old_python_can_read_it():
    source = (ROOT / "run.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
    }
    assert imported <= sys.stdlib_module_names


def test_a_python_without_venv_and_without_pip(checkout):
    patched = ["-c", WITH_ANOTHER_PYTHON, "sys.modules.update(venv=None, ensurepip=None, pip=None)"]
    result = run(checkout, "demo", python=patched, env=environment(PATH="", PORT=str(closed_port())))
    assert_refused(result, "neither its venv module nor pip", "sudo apt install python3-venv", "uv")


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_a_busy_port_is_named_with_one_that_is_free(checkout, command):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run(checkout, command, env=environment(PORT=str(port)))
    assert_refused(result, f"Port {port} on 127.0.0.1 is taken")
    free = int(re.search(rf"PORT=(\d+) python3 run.py {command}\.$", result.stderr)[1])
    assert free > port


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1", "8_000", "٨٠٠٠"])
def test_a_port_that_is_none(checkout, port):
    assert_refused(run(checkout, "serve", env=environment(PORT=port)), "PORT is ", "from 1 to 65535")


def test_a_host_that_is_not_here(checkout):
    elsewhere = environment(HOST="192.0.2.1", PORT=str(closed_port()))  # RFC 5737: nobody's
    assert_refused(run(checkout, "serve", env=elsewhere), "HOST is '192.0.2.1'", "set it to 127.0.0.1")


def test_without_network_then_two_at_once_with_it(checkout):
    """What a failed install leaves behind is made good by the next run; of two at once, one installs."""
    nowhere = f"http://127.0.0.1:{closed_port()}/simple"
    offline = environment(
        PIP_INDEX_URL=nowhere, PIP_RETRIES="0", UV_DEFAULT_INDEX=nowhere, UV_HTTP_RETRIES="0", UV_NO_CACHE="1"
    )
    assert_refused(run(checkout, "portal", "doctor", env=offline), "check the network", "run this again")
    assert (checkout / ".venv").exists()

    both = [
        subprocess.Popen(
            [sys.executable, "run.py", "portal", name],
            cwd=checkout,
            env=index_of(checkout),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert [out.split(" in ")[0] for out, _ in answers] == [
        "portal first with part 1.0",
        "portal second with part 1.0",
    ]
    assert "".join(told for _, told in answers).count("Installed in") == 1


def test_the_second_start_only_hands_over(installed, tmp_path):
    started = time.monotonic()
    result = run(installed, "portal", "fail", "a file.csv", env=environment(PATH=""), cwd=tmp_path)
    assert time.monotonic() - started < 2  # a twentieth of a second on a machine with nothing else to do
    assert result.stdout == f"portal fail a file.csv with part 1.0 in {tmp_path}\n"
    assert (result.returncode, result.stderr) == (3, "")


def test_what_python_compiles_is_kept_for_the_next_start_but_never_in_the_checkouts_folders(checkout):
    result = run(checkout, "portal", "doctor", env={**index_of(checkout), "PYTHONDONTWRITEBYTECODE": "1"})
    assert result.returncode == 0, result.stderr
    kept = checkout / ".venv" / "bytecode"
    assert list(kept.glob("**/portal/__init__.*.pyc"))
    assert list(checkout.glob("portal/**/*.pyc")) == []


@pytest.mark.skipif(os.name != "posix", reason="signals go straight through where there is exec")
def test_signals_reach_the_portal_itself(installed):
    process = subprocess.Popen(
        [sys.executable, "run.py", "portal", "sleep"], cwd=installed, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("portal sleep")
    process.terminate()
    assert process.wait(timeout=10) == -signal.SIGTERM
    process.stdout.close()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_no_addresses(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if re.match("[a-z0-9]", line)]
    assert pins and all("==" in line and line.endswith("\\") for line in pins)
    assert not re.search("://|--index|--extra-index|--find-links|/home/|/tmp/", text)


def test_the_parts_for_the_tests_include_the_portals_own():
    parts, parts_and_tests = (
        set(re.findall(r"^[a-z0-9][^\\\n]*==[^\\\n]*", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))
        for lock in ("requirements.lock", "requirements-dev.lock")
    )
    assert parts < parts_and_tests
