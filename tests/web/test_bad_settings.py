"""A bad setting is refused at the start, by its variable's name and in one line, through every command.

(What each setting takes: tests/domain/test_settings.py.)
"""

import pytest

from portal.config import BadSetting, Settings
from tests.web.commands import from_outside

BAD = [
    ("DATABASE_URL", "postgresql://u:p@db:port/portal"),
    ("DATABASE_URL", "sqlite:///file::memory:?uri=true"), ("DATABASE_URL", "sqlite:///file:x?mode=memory&uri=true"),
    ("BASE_URL", "https://fründe.example.com"), ("BASE_URL", "https://friends.example.com\\evil"),
    ("REDIS_URL", "redis://localhost:port"), ("REDIS_URL", "localhost:6379"), ("HOST", "no such host.invalid"),
    ("HOST", "127.0.0.1:8000"), ("HOST", "256.1.1.1"), ("MAIL_URL", "file:///dev/null/mail"), ("WORKERS", "4"),
    ("WORKERS", "0"), ("PORT", "http"), ("TRUSTED_PROXIES", "1.5"), ("SECRET_KEY", "too short"),
    ("METRICS_TOKEN", "short"), ("METRICS_TOKEN", "a token with a space"), ("LOG_FORMAT", "xml"),
]  # fmt: skip


def test_a_bad_setting_is_refused_at_the_start_by_its_name_and_changes_nothing(run, monkeypatch, each):
    for tried in each(BAD):
        with tried as (name, value), monkeypatch.context() as patch:
            patch.setenv(name, value)
            for words in (["serve"], ["migrate"], ["worker"]):
                said = run(*words)
                assert said.code == 2 and said.err.startswith(f"{name}: ") and said.err.count("\n") == 1


def test_a_bad_setting_is_told_by_the_real_command_in_one_line(tmp_path):
    for words, settings in ((["serve"], {"PORT": "http"}), (["check-ledger"], {"DATABASE_URL": "mysql://x"})):
        said = from_outside(tmp_path, *words, **settings)
        (name,) = settings
        assert (said.code, said.out) == (2, "") and said.err.startswith(f"{name}: ") and said.err.count("\n") == 1


def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path):
    said = from_outside(tmp_path, "check-ledger", DATABASE_URL=f"sqlite:///{tmp_path}/no/such/folder/portal.db")
    assert said.code == 1 and said.err.startswith("DATABASE_URL: ") and said.err.count("\n") == 1


def test_https_in_capitals_is_https(tmp_path):
    settings = Settings.from_env({"INSTANCE_DIR": str(tmp_path), "BASE_URL": "HTTPS://Friends.Example.com/"})
    assert settings.secure and settings.hosts == ["friends.example.com"]


def test_a_key_of_the_payout_details_that_is_damaged_is_refused(tmp_path):
    Settings.from_env({"INSTANCE_DIR": str(tmp_path)})
    for damaged in (b"x" * 44, b"\xff" * 44, b"A" * 40):
        (tmp_path / "details_key").write_bytes(damaged)
        with pytest.raises(BadSetting, match=r"^INSTANCE_DIR: .*details_key is damaged"):
            Settings.from_env({"INSTANCE_DIR": str(tmp_path)})
