"""Expected errors are one line on stderr and exit status 2; help and versions need nothing but the command line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from rla_gym.cli import is_expected, main, one_line
from rla_gym.cli.commands import COMMANDS
from rla_gym.utils.threads import use_threads


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["collect", "--task", "push-cubes", "--out", "OUT"], "'push-cubes' (did you mean push-cube or pull-cube?)"),
        (["collect", "--task", "push-cube", "--play", "1.5", "--out", "OUT"], "--play 1.5: expected a fin"),
        (["encode", "--data", "OUT", "--out", "OUT"], "no episodes at"),
        (["encoder", "--backbone", "vit_tiny_of_nobody", "--out", "OUT/e.safetensors"], "timm has no model"),
        (["encoder", "--weights", "OUT/none.safetensors", "--out", "OUT/e.safetensors"], "no weights at"),
        (["train", "flow", "--tokens", "OUT", "--out", "OUT"], "no finished token store"),
        (["train", "all", "--tokens", "OUT", "--out", "OUT"], "--data"),
        (["train", "flow", "--tokens", "OUT", "--out", "OUT", "--threads", "0"], "--threads 0: expected a whole"),
        (["export", "--run", "OUT", "--tokens", "OUT", "--data", "OUT", "--out", "OUT/c"], "flow has not begun"),
        (["inspect", "no-such-checkpoint"], "the built-in ones are"),
        (["eval", "--ckpt", "no-such-checkpoint", "--tokens", "OUT"], "the built-in ones are"),
        (["build", "push-sphere"], "there are push-cube"),
        (["encode", "--data", "OUT", "--out", "OUT", "--device", "cuda:77"], "choose one of cpu"),
        (["encode", "--data", "OUT", "--out", "OUT", "--device", "nonsense"], "choose one of cpu"),
        (["collect", "--task", "push-cube", "--out", f"OUT/{'x' * 300}"], "File name too long; choose a shorter name"),
        (["collect", "--task", "push-cube", "--out", "/dev/null/x"], "a part of this path is a file"),
        (["collect", "--task", "push-cube", "--out", "/proc/x"], "error: /proc/x: "),
        (["encoder", "--weights", "random:0", "--out", "/proc/x/e.safetensors"], "error: /proc/x: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_that_says_what_to_do(
    arguments: list[str], told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.replace("OUT", str(tmp_path)) for argument in arguments]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["fly"], ["collect"], ["train", "everything"], ["demo", "--episodes", "0"]])
def test_arguments_that_do_not_parse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    "command", [*([name] for name in COMMANDS), *(["train", model] for model in ("all", "quick", "decoder")), []]
)
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    assert "usage: rla-gym" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rla-gym ")


@pytest.mark.parametrize(
    ("command", "then"), [(["merge", "a", "b"], "begins anew"), (["encode", "--data", "a"], "goes on")]
)
def test_an_interrupted_command_says_whether_it_goes_on(
    command: list[str], then: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"rla_gym.cli.{command[0]}.{command[0].capitalize()}.run", interrupted)
    assert main([*command, "--out", "nowhere"]) == 130
    assert then in capsys.readouterr().err


@pytest.mark.parametrize("bug", [ZeroDivisionError(), RuntimeError("torch: shapes do not fit"), AttributeError("x")])
def test_bugs_keep_their_traceback(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise bug

    monkeypatch.setattr("rla_gym.cli.collect.Collect.run", broken)
    with pytest.raises(type(bug)):
        main(["collect", "--task", "push-cube", "--out", "nowhere"])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "No space left on device; make room or choose another place",
        ),
        (
            OSError(errno.EROFS, os.strerror(errno.EROFS), "/a/b"),
            "/a/b: Read-only file system; choose a place that can",
        ),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/a"), "/a: Permission denied; choose another place"),
        (OSError(errno.ENOSPC, "no room for it: 2 MB needed"), "no room for it: 2 MB needed"),
        (OSError("read\nerror"), "read error"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "CUDA out of memory. Tried to"),
        (SafetensorError("I/O error: Permission denied"), "I/O error: Permission denied"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_the_machine_refuses_is_one_line(error: Exception, told: str) -> None:
    assert is_expected(error)
    assert one_line(error).startswith(told)


@pytest.mark.parametrize("command", [["collect", "--task", "push-cube", "--episodes", "1"], ["demo"]])
def test_rendering_that_is_not_there(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rla_gym", *command, "--out", str(tmp_path / "out")],
        env={**os.environ, "MUJOCO_GL": "no-such-backend"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: MuJoCo cannot make an OpenGL context (MUJOCO_GL is no-such-backend")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "settings",
    [{"MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "99"}, {"MUJOCO_GL": "glfw"}],
    ids=["no such device", "no display"],
)
def test_rendering_that_fails_in_worker_processes(settings: dict[str, str], tmp_path: Path) -> None:
    """MuJoCo imports, so the command begins; the first to notice that there is no context is a worker."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "PYOPENGL_PLATFORM")
    collect = ["collect", "--task", "push-cube", "--episodes", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "rla_gym", *collect],
        env={name: value for name, value in os.environ.items() if name not in hidden} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    error = done.stderr.partition("error: ")[2]
    assert error.startswith(f"MuJoCo cannot make an OpenGL context (MUJOCO_GL is {settings['MUJOCO_GL']}; ")
    assert "apt-get install libegl1" in error and error.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out" / "parts").iterdir())


def test_one_line_joins_lines_and_drops_the_quotes_of_key_errors() -> None:
    assert one_line(ValueError("one\n   two")) == "one two"
    assert one_line(KeyError("the tensor 'a' is missing")) == "the tensor 'a' is missing"


def test_help_imports_neither_torch_nor_mujoco() -> None:
    code = (
        "import sys; from rla_gym.cli.commands import parse\n"
        "parse(['collect', '--task', 'push-cube', '--out', 'x'])\n"
        "sys.exit(', '.join({'torch', 'mujoco', 'timm', 'stable_baselines3'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_threads() -> None:
    import torch

    before = torch.get_num_threads()
    try:
        use_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
