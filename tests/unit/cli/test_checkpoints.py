"""prorl checkpoints: what is listed, verified and compared, and that nothing is changed by it."""

import json
from pathlib import Path

import pytest
from checkpoint_damage import make_store
from click.testing import CliRunner
from prorl_cli.main import main
from prorl_trainer.checkpoint import __main__ as reader


def listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str):
    monkeypatch.setattr("sys.argv", ["checkpoints", *words])
    with pytest.raises(SystemExit) as end:
        reader.main()
    return end.value.code, capsys.readouterr()


def test_each_is_listed_and_a_flipped_bit_is_found_by_verify_only(monkeypatch, capsys, tmp_path):
    make_store(tmp_path / "runs" / "q" / "checkpoints")
    monkeypatch.chdir(tmp_path)
    shard = tmp_path / "runs/q/checkpoints/step-00000004/shards/__0_0.distcp"
    data = bytearray(shard.read_bytes())
    data[7] ^= 1
    shard.write_bytes(data)
    code, said = listed(monkeypatch, capsys, "q", "--output", "json")
    assert (code, [row["state"] for row in json.loads(said.out)]) == (0, ["ok", "ok", "ok"])
    code, said = listed(monkeypatch, capsys, "q", "--verify")
    assert code == 13
    assert "bad: shards/__0_0.distcp has another checksum" in said.out
    assert shard.exists(), "looking changes nothing"


def test_a_comparison_names_the_files_and_the_fields_that_differ(monkeypatch, capsys, tmp_path):
    make_store(tmp_path)
    code, said = listed(monkeypatch, capsys, str(tmp_path), "--compare", "2", "4")
    names = [line.split(":")[0] for line in said.out.splitlines()]
    assert (code, names) == (
        0, ["shards/__0_0.distcp", "shards/__1_0.distcp", "state.json", "step"],
    )  # fmt: skip
    code, said = listed(monkeypatch, capsys, str(tmp_path), "--compare", "2", "7")
    assert code == 13
    assert "step-00000007 cannot be used: manifest.json is missing" in said.err


def test_where_there_is_none_it_says_where_it_looked(monkeypatch, capsys, tmp_path):
    code, said = listed(monkeypatch, capsys, str(tmp_path / "no"))
    assert code == 13
    assert "There is no checkpoint in" in said.err


def test_the_command_is_part_of_prorl(tmp_path: Path):
    make_store(tmp_path)
    assert CliRunner().invoke(main, ["checkpoints", str(tmp_path)]).exit_code == 0
