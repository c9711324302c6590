"""Settings: read once, checked, and refused at the start by the variable's name."""

import stat
from pathlib import Path

import pytest

from portal.config import BadSetting, Settings


def read(folder: Path, **given: str) -> Settings:
    return Settings.from_env({"INSTANCE_DIR": str(folder / "instance"), **given})


def test_with_nothing_set_everything_lies_in_one_folder_and_the_keys_stay(tmp_path: Path) -> None:
    first, second = read(tmp_path), read(tmp_path)
    assert first == second
    assert first.database_url == f"sqlite:///{tmp_path}/instance/portal.db" and first.sqlite
    assert (first.base_url, first.host, first.port) == ("http://127.0.0.1:8000", "127.0.0.1", 8000)
    assert first.mail_dir == tmp_path / "instance" / "mail" and not first.secure
    for name in ("secret_key", "details_key", "suppression_key"):
        assert stat.S_IMODE((tmp_path / "instance" / name).stat().st_mode) == 0o600, name
        assert len((tmp_path / "instance" / name).read_text()) >= 32
    assert len({first.secret_key, first.details_key, first.suppression_key}) == 3
    assert read(tmp_path / "other").secret_key != first.secret_key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://x"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "portal.db"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", ""),
        ("BASE_URL", "friends.example.com"),
        ("BASE_URL", "ftp://friends.example.com"),
        ("BASE_URL", "https://friends.example.com/portal"),
        ("BASE_URL", "https://friends.example.com?x=1"),
        ("BASE_URL", "https://user@friends.example.com"),
        ("BASE_URL", "https://friends.example.com:0"),
        ("BASE_URL", "https://friends.example.com:99999"),
        ("BASE_URL", "https://friends example.com"),
        ("BASE_URL", "https://[::1"),
        ("MAIL_URL", "mailto:x@example.com"),
        ("MAIL_URL", "file://relative"),
        ("REDIS_URL", "http://localhost"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "11"),
        ("TRUSTED_PROXIES", "one"),
        ("TRUSTED_PROXIES", "١"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "8_000"),
        ("PORT", "80.0"),
        ("PORT", " 8000"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"^{name}: "):
        read(tmp_path, **{name: value})


def test_a_folder_that_cannot_be_made_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "instance").write_text("a file")
    with pytest.raises(BadSetting, match=r"^INSTANCE_DIR: "):
        read(tmp_path)


def test_a_damaged_key_is_refused_and_not_made_anew(tmp_path: Path) -> None:
    """A new key would make every payout detail unreadable without a word."""
    read(tmp_path)
    (tmp_path / "instance" / "details_key").write_text("")
    with pytest.raises(BadSetting, match=r"^INSTANCE_DIR: .*details_key is damaged"):
        read(tmp_path)


@pytest.mark.parametrize(
    "url", ["postgres://u:p@db/portal", "postgresql://u:p@db/portal", "postgresql+psycopg://u:p@db/portal"]
)
def test_postgresql_is_named_as_everybody_does(tmp_path: Path, url: str) -> None:
    settings = read(tmp_path, DATABASE_URL=url)
    assert settings.database_url == "postgresql+psycopg://u:p@db/portal" and not settings.sqlite


def test_the_portal_answers_to_its_own_name_alone(tmp_path: Path) -> None:
    settings = read(tmp_path, BASE_URL="https://friends.example.com/")
    assert settings.secure and settings.hosts == ["friends.example.com"]
    assert read(tmp_path, PORT="8123").base_url == "http://127.0.0.1:8123"


def test_the_demo_is_a_world_of_its_own_on_this_machine(tmp_path: Path) -> None:
    given = {
        "INSTANCE_DIR": str(tmp_path), "HOST": "0.0.0.0", "BASE_URL": "https://friends.example.com",
        "DATABASE_URL": "postgresql://u:p@db/portal",
    }  # fmt: skip
    settings = Settings.from_env(given, demo=True)
    assert settings.database_url == f"sqlite:///{tmp_path}/demo/portal.db"
    assert (settings.host, settings.base_url, settings.instance_dir) == (
        "127.0.0.1", "http://127.0.0.1:8000", tmp_path / "demo",
    )  # fmt: skip
