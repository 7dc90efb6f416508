"""Flags and environment of the operator."""

from dataclasses import replace
from pathlib import Path

import pytest
from prorl_operator.errors import SettingsError
from prorl_operator.settings import Settings, parse_settings

KEY = "k" * 16


@pytest.fixture(autouse=True)
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Given by the environment, which holds nothing else of ours."""
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    monkeypatch.setenv("PRORL_OPERATOR_KEY_FILE", str(path))
    monkeypatch.setenv("PRORL_OPERATOR_IDENTITY", "me")
    return path


def test_the_defaults_are_those_of_the_record() -> None:
    assert parse_settings([]) == Settings(key=KEY.encode(), identity="me")


@pytest.mark.parametrize(
    ("flag", "value", "field", "expected"),
    [
        ("namespace", "b,a", "namespaces", ("a", "b")),
        ("image", "mine:2", "image", "mine:2"),
        ("verifier-image", "mine:3", "verifier_image", "mine:3"),
        ("workers", "3", "workers", 3),
        ("metrics-port", "0", "metrics_port", 0),
        ("leader-election-namespace", "sys", "leader_election_namespace", "sys"),
        ("identity", "you", "identity", "you"),
        ("resync-seconds", "1.5", "resync_s", 1.5),
        ("poll-seconds", "0.5", "poll_s", 0.5),
        ("coordinator-port", "81", "coordinator_port", 81),
        ("kubeconfig", "/k", "kubeconfig", "/k"),
        ("log-level", "DEBUG", "log_level", "DEBUG"),
    ],
)
def test_a_setting_comes_from_its_flag_or_its_variable(
    monkeypatch: pytest.MonkeyPatch, flag: str, value: str, field: str, expected: object
) -> None:
    wanted = replace(parse_settings([]), **{field: expected})
    assert parse_settings([f"--{flag}={value}"]) == wanted
    monkeypatch.setenv(f"PRORL_OPERATOR_{flag.upper().replace('-', '_')}", value)
    assert parse_settings([]) == wanted


@pytest.mark.parametrize("flag", ["image", "workers", "identity", "namespace"])
def test_a_flag_is_stronger_than_its_variable(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    wanted = parse_settings([f"--{flag}=7"])
    monkeypatch.setenv(f"PRORL_OPERATOR_{flag.upper()}", "9")
    assert parse_settings([f"--{flag}=7"]) == wanted


@pytest.mark.parametrize(
    ("text", "held"), [("1", False), ("true", False), ("False", True), ("0", True), ("", True)]
)
def test_leader_election_is_switched_off_by_variable_too(
    monkeypatch: pytest.MonkeyPatch, text: str, held: bool
) -> None:
    assert not parse_settings(["--no-leader-election"]).leader_election
    monkeypatch.setenv("PRORL_OPERATOR_NO_LEADER_ELECTION", text)
    assert parse_settings([]).leader_election is held


def test_namespaces_may_be_repeated_and_listed() -> None:
    flags = ["--namespace=b, a", "--namespace", "c,a,"]
    assert parse_settings(flags).namespaces == ("a", "b", "c")


def test_an_empty_list_of_namespaces_means_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRORL_OPERATOR_NAMESPACE", "")
    assert parse_settings([]).namespaces == ()


@pytest.mark.parametrize(
    "flags",
    [["--workers=0"], ["--workers=x"], ["--metrics-port=x"], ["--resync-seconds=x"], ["--what"]],
    ids=lambda flags: flags[0],
)
def test_a_wrong_flag_is_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_settings(flags)
    assert stopped.value.code == 2
    assert flags[0].split("=")[0] in capsys.readouterr().err


def test_a_key_that_is_missing_unreadable_or_short_is_named(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file.write_text("k" * 15 + "\n")
    with pytest.raises(SettingsError, match="key holds 15 bytes; at least 16 are needed"):
        parse_settings([])
    with pytest.raises(SettingsError, match="/nowhere cannot be read: No such file"):
        parse_settings(["--key-file=/nowhere"])
    monkeypatch.delenv("PRORL_OPERATOR_KEY_FILE")
    with pytest.raises(SettingsError, match="--key-file is not given"):
        parse_settings([])
