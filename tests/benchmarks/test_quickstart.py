"""README's commands are found as they stand there, run and timed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.quickstart import MORE, ROOT, TOY, Args, commands, main, run
from rla_gym.utils.files import read_json

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readmes_commands() -> None:
    found = [words[0] for words in commands(README)]
    assert found == ["collect", "encode", "train", "export", "eval", "demo"]
    assert set(MORE) | set(TOY) <= set(found)


def test_a_readme_without_them() -> None:
    with pytest.raises(ValueError, match="README has 0 blocks"):
        commands("```bash\nmake demo\n```\n")


def test_a_command_is_run_and_timed(tmp_path: Path) -> None:
    took = run(["inspect", "push-cube"], tmp_path)
    assert took["minutes"] > 0
    assert took["core_minutes"] > 0
    with pytest.raises(subprocess.CalledProcessError):
        run(["inspect", "nothing-of-this-name"], tmp_path)


@pytest.mark.slow
def test_all_of_it(tmp_path: Path) -> None:
    args = Args(work=tmp_path / "work", out=tmp_path / "result.json", smoke=True)
    found = main(args)
    assert [each["goes"] for each in found["commands"]] == [1] * len(commands(README))
    assert found["demo"]["config"]["seeds"] == [0]
    # What is finished is left alone.
    before = [each["minutes"] for each in found["commands"]]
    assert [each["minutes"] for each in main(args)["commands"]] == before
    log = read_json(args.work / "commands.json")
    assert log == found["commands"]
    with pytest.raises(ValueError, match="give another --work"):
        main(Args(work=args.work, out=args.out))
