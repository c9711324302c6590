"""Calls: where a webhook may be sent, and how the other side is known."""

import ipaddress
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from portal.delivery import endpoints
from portal.delivery.calls import Caller
from portal.delivery.endpoints import EndpointRefused
from tests.factories import Scene
from tests.mailserver import certificate
from tests.receiver import Receiver, receiving

INSIDE = """
127.0.0.1 127.8.9.10 0.0.0.0 10.0.0.5 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 192.0.2.1 198.18.0.1
198.51.100.7 203.0.113.9 224.0.0.1 240.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1 ::ffff:10.0.0.1 fe80::1 fc00::1 fd12::1
ff02::1 64:ff9b::7f00:1 64:ff9b::a00:1 2002:7f00:1:: 2001::1 2001:db8::1
""".split()


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_a_network_is_called(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as it is, nor behind a name whose owner lets it lead there."""
    assert not endpoints.is_public(ipaddress.ip_address(address))
    with pytest.raises(EndpointRefused):
        endpoints.read(f"https://[{address}]/" if ":" in address else f"https://{address}/", local=False)
    leads_to(monkeypatch, address)
    outcome = Caller().post("https://hooks.example.com/", {}, b"{}")
    assert outcome.status is None and "a network of its own" in str(outcome.trouble)


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Has names lead to these addresses; the list says which were asked for."""
    asked: list[str] = []

    def found(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_called(address: str) -> None:
    assert endpoints.is_public(ipaddress.ip_address(address))


def test_a_name_with_one_address_inside_is_not_called_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "1.1.1.1", "10.0.0.1")
    assert "a network of its own" in str(Caller().post("https://hooks.example.com/", {}, b"{}").trouble)


def test_the_address_that_was_looked_at_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere a moment later gains nothing: it is asked once."""
    asked, reached = leads_to(monkeypatch, "1.1.1.1"), []

    def connects(where: tuple[str, int], **_: Any) -> socket.socket:
        reached.append(where)
        raise OSError("no network in a test")

    monkeypatch.setattr(socket, "create_connection", connects)
    outcome = Caller().post("https://hooks.example.com:8443/x", {}, b"{}")
    assert (asked, reached) == (["hooks.example.com"], [("1.1.1.1", 8443)]) and "no network" in str(outcome.trouble)


WRONG = """
http://shop.example.com/ ftp://shop.example.com/ https:///x //shop.example.com/ shop.example.com javascript:alert(1)
https://user@shop.example.com/ https://user:word@shop.example.com/ https://shop.example.com:0/ https://shop.example.com:99999/
https://shop.example.com/#part https://shop.example.com\\@evil.example/ https://bücher.example/ https://shop/ https://localhost/
http://127.0.0.1/ https://127.0.0.1/ https://127.1/ https://2130706433/ https://0x7f000001/ https://0177.0.0.1/ https://[::1]/
https://portal.internal/ https://nas.local/ https://metadata.google.internal/ https://shop.example.com./ https://[fe80::1%25eth0]/
""".split()


@pytest.mark.parametrize(
    "url",
    [*WRONG, "", " https://shop.example.com/", "https://shop.example.com/\r\nX: y", "https://s.example/" + "x" * 500],
)
def test_what_is_no_address_of_a_receiver_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(EndpointRefused):
        endpoints.read(url, local=False)


def test_on_one_machine_alone_its_own_addresses_will_do_and_no_others_inside() -> None:
    for url in ("http://127.0.0.1:8080/x", "http://localhost/", "https://[::1]:8443/"):
        assert endpoints.read(url, local=True)
    for url in ("http://shop.example.com/", "http://10.0.0.1/", "https://10.0.0.1/", "ftp://127.0.0.1/"):
        with pytest.raises(EndpointRefused):
            endpoints.read(url, local=True)


def test_over_tls_only_with_the_right_certificate(scene: Scene, tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    other, others = certificate(tmp_path, "elsewhere.example.com")
    with receiving(Receiver(), tls=context) as receiver:
        url = receiver.url.replace("http:", "https:")
        assert Caller(local=True, ca=str(trusted)).post(url, {}, b"{}").status == 204
        assert "certificate" in str(Caller(local=True).post(url, {}, b"{}").trouble)
    with receiving(Receiver(), tls=other) as receiver:
        url = receiver.url.replace("http:", "https:")
        assert "certificate" in str(Caller(local=True, ca=str(others)).post(url, {}, b"{}").trouble), "of another name"
        assert receiver.taken == []


def test_a_receiver_that_never_speaks_tls_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        outcome = Caller(local=True, timeout_s=0.5).post(f"https://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")
        assert time.monotonic() - began < 2 and outcome.status is None and outcome.trouble
