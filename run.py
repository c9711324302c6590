#!/usr/bin/env python3
"""The way in: from a bare checkout to a running portal in one command.

It makes .venv, installs into it what the lock names, hash by hash, and hands over to the portal or to the
tests. It needs the standard library only. The invariant: .venv holds a stamp if and only if everything the
stamp names was installed whole; a .venv without one was left half made (or made by hand) and is made again.

An older Python must be able to read this file in order to be told so: no syntax newer than Python 3.6, and
nothing newer is called before main() has looked at the version.
"""

import contextlib
import errno
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HELP = """\
python3 run.py demo              the portal with sample data, for a look around
python3 run.py serve             the portal itself
python3 run.py test              every check: lint, types, imports, tests
python3 run.py test --long       the same, with the tests that take long
python3 run.py test ARGUMENTS    pytest alone, as in: python3 run.py test tests/domain -k ledger
python3 run.py portal COMMAND    the portal's own commands; see: python3 run.py portal --help

The first run installs the parts into .venv. HOST and PORT say where demo and serve listen (127.0.0.1, 8000).
"""
OLDEST_PYTHON = (3, 11)
COMMANDS = ("demo", "serve", "test", "portal")

ROOT = Path(__file__).resolve().parent
ENV = ROOT / ".venv"
BIN = ENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = ENV / "installed-by-run.txt"
# Beside .venv and not in it: installing may begin with taking .venv away.
LOG = ROOT / ".venv.log"
ONE_AT_A_TIME = ROOT / ".venv.lock"

PARTS = "requirements.lock"
PARTS_AND_TESTS = "requirements-dev.lock"  # holds everything that PARTS holds, in the same versions

CHECKS = (
    ("ruff check", ["-m", "ruff", "check"]),
    ("ruff format --check", ["-m", "ruff", "format", "--check"]),
    ("mypy portal", ["-m", "mypy", "portal"]),
    (
        "lint-imports",
        ["-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"],
    ),
)


class Refusal(Exception):
    """Something stands in the way; the message is one sentence that names it and the remedy."""


def main(args: list) -> int:
    """Run one command and return its exit code; a refusal is told in one sentence and is 1."""
    try:
        refuse_an_old_python(args)
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        return run(args)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def refuse_an_old_python(args: list) -> None:
    if sys.version_info >= OLDEST_PYTHON:
        return
    wanted, this = dotted(OLDEST_PYTHON), dotted(sys.version_info[:3])
    newer = next((name for name in (f"python3.{minor}" for minor in range(20, 10, -1)) if shutil.which(name)), "")
    remedy = f"type {' '.join([newer, 'run.py', *args])}" if newer else "install a newer one and run this with it"
    raise Refusal(f"The portal needs Python {wanted} or newer and this is {this}: {remedy}.")


def dotted(version) -> str:
    return ".".join(str(part) for part in version)


def run(args: list) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    command, rest = args[0], args[1:]
    if command not in COMMANDS:
        raise Refusal(f"There is no command {command!r}: give one of {', '.join(COMMANDS)}.")
    if command == "test":
        return test(rest)
    if command in ("demo", "serve"):
        refuse_a_busy_port(command)
    prepare(PARTS)
    keep_bytecode()
    return hand_over(rest if command == "portal" else args)


def hand_over(args: list) -> int:
    """Become the portal, so that signals and the exit code need no passing on.

    The caller's folder stays: files named on the command line are where the caller said. -P, so that nothing
    in that folder is imported by accident; .venv knows where the portal is.
    """
    command = [str(PYTHON), "-P", "-m", "portal", *args]
    if os.name == "nt":  # there exec returns to the shell at once
        return call(command)
    os.execv(command[0], command)


def test(args: list) -> int:
    """Run the checks and then pytest, whose closing line stays the last; return the worst exit code."""
    if "--long" in args:
        os.environ["PORTAL_TEST_LONG"] = "1"
        args = [argument for argument in args if argument != "--long"]
    prepare(PARTS_AND_TESTS)
    keep_bytecode()
    codes = all_at_once(CHECKS) if not args else {}
    heading("pytest")
    tests = call([str(PYTHON), "-m", "pytest", *(args or ["-n", "2", "--dist", "worksteal"])], cwd=ROOT)
    failed = [name for name, code in codes.items() if code]
    if failed:
        print(f"\nFailed before pytest: {', '.join(failed)}.", file=sys.stderr)
    return max(tests, *codes.values(), 0)


def all_at_once(checks: tuple) -> dict:
    """Run these beside one another, print what each said in their order, and return their exit codes by name."""
    children = [
        (name, subprocess.Popen([str(PYTHON), *check], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        for name, check in checks
    ]
    codes = {}
    try:
        for name, child in children:
            said, _ = child.communicate()
            heading(name)
            print(said.decode(errors="replace"), end="", flush=True)
            codes[name] = child.returncode
    finally:
        for _, child in children:
            if child.poll() is None:
                child.terminate()
                child.wait()
    return codes


def keep_bytecode() -> None:
    """Let Python keep what it compiles in .venv, so that a later start need not compile 1,500 modules again.

    Also where PYTHONDONTWRITEBYTECODE is set, as in many a container (there a start took eight seconds instead
    of two): what that wish protects, the folder of the checkout, is left alone.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ENV / "bytecode"))


def heading(name: str) -> None:
    print(f"\n== {name}", flush=True)


# The port


def refuse_a_busy_port(command: str) -> None:
    """Look before a minute of installing, and name a way out while it is easy."""
    host = os.environ.get("HOST") or "127.0.0.1"
    text = os.environ.get("PORT") or "8000"
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
    if not 0 < port < 65536:
        raise Refusal(f"PORT is {text!r}: set it to a number from 1 to 65535.")
    problem = listening_error(host, port)
    if problem is None:
        return
    if problem.errno == errno.EADDRINUSE:
        free = next((p for p in range(port + 1, port + 50) if p < 65536 and not listening_error(host, p)), None)
        other = f"PORT={free} python3 run.py {command}" if free else "PORT set to a free one"
        raise Refusal(f"Port {port} on {host} is taken by another program: stop that one, or start with {other}.")
    if problem.errno == errno.EACCES:
        raise Refusal(f"Port {port} may not be used by this account: set PORT to one above 1023.")
    raise Refusal(f"HOST is {host!r}, which is not an address of this machine: set it to 127.0.0.1 or 0.0.0.0.")


def listening_error(host: str, port: int):
    """Return the OSError that listening there would meet, or None."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # as servers do: a port whose last connections are fading is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except UnicodeError:  # a host name that no name service could carry
        return OSError(errno.EADDRNOTAVAIL, "not a host name")
    except OSError as error:
        return error
    return None


# .venv


def prepare(lock: str) -> None:
    """See that .venv holds what the lock names; once it does, this takes a few milliseconds."""
    try:
        if is_installed(lock):
            return
        with one_at_a_time() as held:
            if not is_installed(lock):  # the run that we waited for may have done it
                install(PARTS_AND_TESTS if PARTS_AND_TESTS in stamp() else lock, held)
    except OSError as error:
        raise Refusal(
            f"{error.filename or ENV} cannot be used ({error.strerror}): see that it is there, that this"
            " folder may be written to and that the disk has room, and run this again."
        ) from error


def is_installed(lock: str) -> bool:
    # The parts for the tests include the portal's: who has them is not sent back.
    return PYTHON.exists() and stamp() in (stamp_for(lock), stamp_for(PARTS_AND_TESTS))


def stamp() -> str:
    return STAMP.read_text(encoding="utf-8") if STAMP.exists() else ""


def stamp_for(lock: str) -> str:
    """What was installed, and for whom: a Python that was replaced, or a checkout that moved, is another."""
    content = (ROOT / PARTS).read_bytes() + (ROOT / lock).read_bytes()
    return f"{lock} {hashlib.sha256(content).hexdigest()}\n{place()}"


def place() -> str:
    return f"{os.path.realpath(str(PYTHON))}\n{ROOT}\n"


@contextlib.contextmanager
def one_at_a_time():
    """Hold the lock that keeps two runs from installing at once; yields its file descriptor.

    The system lets go of it when the last process that holds it ends, however it ends.
    """
    with open(str(ONE_AT_A_TIME), "a") as file:
        if os.name == "nt":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError:  # it gives up after ten seconds; we do not
                    continue
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("Another run.py is installing; waiting for it ...")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def install(lock: str, held: int) -> None:
    """Bring .venv to what the lock names. It is changed in place if it is whole, else made anew."""
    started = time.monotonic()
    uv = shutil.which("uv")
    if not uv:
        refuse_without_installer()
    say("Installing the portal's parts into .venv; this happens once and takes a minute or less ...")
    if PYTHON.exists() and stamp().endswith(place()):
        STAMP.unlink()
    else:
        remove(ENV)
        make_env(uv, held)
    tell_where_the_portal_is()
    # The lock is complete: --no-deps saves resolving what is resolved. --no-compile (uv's own default)
    # leaves to the first import what only a few of the modules will need.
    pip = [uv, "pip", "install", "--python", str(PYTHON)] if uv else [*pip_for_env(held), "--no-compile"]
    step([*pip, "--quiet", "--no-deps", "--require-hashes", "-r", str(ROOT / lock)], held)
    unfinished = STAMP.with_suffix(".tmp")
    unfinished.write_text(stamp_for(lock), encoding="utf-8")
    os.replace(str(unfinished), str(STAMP))
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def refuse_without_installer() -> None:
    # Debian splits the standard library: venv is there, and ensurepip comes with python3-venv.
    if importable("venv") and (importable("ensurepip") or importable("pip")):
        return
    raise Refusal(
        "This Python has neither its venv module nor pip to install with: install them"
        " (on Debian and Ubuntu: sudo apt install python3-venv) or install uv, and run this again."
    )


def importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def remove(folder: Path) -> None:
    if folder.is_symlink():  # where it leads to is not ours
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(str(folder))


def make_env(uv, held: int) -> None:
    # Started from within .venv itself, this Python is about to be removed: take the one it was made from.
    python = getattr(sys, "_base_executable", None) or sys.executable
    if uv:
        step([uv, "venv", "--quiet", "--python", python, str(ENV)], held)
    else:
        step([python, "-m", "venv", "--without-pip", str(ENV)], held)


def pip_for_env(held: int) -> list:
    """Return the pip that installs into .venv: its own, one that Python brings along, or the system's."""
    own = [str(PYTHON), "-Im", "pip"]
    if succeeds([*own, "--version"]):
        return [*own, "install"]
    if importable("ensurepip"):
        step([str(PYTHON), "-Im", "ensurepip"], held)
        return [*own, "install"]
    system = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if succeeds([*system, "--version"]):
        return [*system, "install"]
    raise Refusal(
        "The pip of this Python is too old to install into .venv: install its venv module"
        " (on Debian and Ubuntu: sudo apt install python3-venv) or install uv, and run this again."
    )


def tell_where_the_portal_is() -> None:
    """Put the checkout on .venv's import path, so that nothing has to be built to run from it.

    Relative, since a .pth file is read in an encoding that depends on the machine.
    """
    packages = [*ENV.glob("lib/python3*/site-packages"), *ENV.glob("Lib/site-packages")][0]
    (packages / "referral-portal.pth").write_text(os.path.relpath(str(ROOT), str(packages)) + "\n")


def step(command: list, held: int) -> None:
    """Run one step of the installing, its output in the log; raise Refusal if it fails."""
    with open(str(LOG), "wb") as log:
        # It inherits the lock: should this process be killed, the next run waits for what it leaves running.
        keep = {} if os.name == "nt" else {"pass_fds": (held,)}
        env = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        code = call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=ROOT, **keep)
    if code:
        raise Refusal(why_it_failed(LOG.read_text(encoding="utf-8", errors="replace"), code))
    LOG.unlink()


NO_NETWORK = re.compile(
    "connection broken by|NewConnectionError|Max retries exceeded|Connection refused|ConnectionResetError"
    "|Temporary failure in name resolution|Name or service not known|getaddrinfo failed|unreachable"
    "|ProxyError|timed out|dns error|client error \\(Connect\\)|error sending request|Failed to fetch"
    "|from versions: none",  # what a lock names is there: an index that has none of it is not the right one
    re.IGNORECASE,
)


def why_it_failed(output: str, code: int) -> str:
    if NO_NETWORK.search(output) and not re.search("DO NOT MATCH THE HASHES|No space left", output):
        return (
            "The parts cannot be downloaded: check the network, the proxy (HTTPS_PROXY) and the package index"
            " (PIP_INDEX_URL, UV_DEFAULT_INDEX), and run this again."
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines or [f"exit code {code}"]
    return f"Installing failed ({errors[-1]}): see {LOG.name}, and run this again."


def say(sentence: str) -> None:
    # Not on the standard output: that belongs to the portal's command.
    print(sentence, file=sys.stderr, flush=True)


# Other programs


def call(command: list, **options) -> int:
    """Run a program to its end and return its exit code, 128 and the signal's number if one ended it."""
    child = subprocess.Popen(command, **options)
    try:
        code = child.wait()
    except KeyboardInterrupt:  # the terminal told the child as well, which ends in its own way
        child.wait()
        raise
    except SystemExit:  # SIGTERM, which was for us alone
        child.terminate()
        child.wait()
        raise
    return code if code >= 0 else 128 - code


def succeeds(command: list) -> bool:
    return call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
