"""What the README shows works as it stands there."""

import os
import re
import shlex
import subprocess
import threading
from pathlib import Path

import pytest

import nnarch
from conftest import Command, Done
from nnarch.errors import ConfigError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the configs in it, as a clone has them."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


NNARCH = """\
#!/bin/sh
printf '%s\\n' "$@" > "$PIPES/words"
read -r code < "$PIPES/code"
cat "$PIPES/out"
cat "$PIPES/err" >&2
exit "$code"
"""


def shell(script: str, folder: Path, nnarch: Command) -> Done:
    """Run a script in which `nnarch` is a child of the nursery, one after the other."""
    command = folder / "bin" / "nnarch"
    command.parent.mkdir()
    command.write_text(NNARCH)
    command.chmod(0o755)
    words, code = folder / "words", folder / "code"
    os.mkfifo(words)
    os.mkfifo(code)

    def serve() -> None:
        while given := words.read_text().splitlines():
            done = nnarch(*given)
            (folder / "out").write_text(done.stdout)
            (folder / "err").write_text(done.stderr)
            code.write_text(f"{done.returncode}\n")

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "PIPES": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    words.write_text("")
    server.join()
    return done


def test_the_sweep_prints_the_best_run(project: Path, nnarch_forked: Command) -> None:
    (script,) = re.findall(r"<!-- sweep -->\n```sh\n(.*?)```", README, re.DOTALL)
    done = shell(script, project, nnarch_forked)
    assert done.returncode == 0, done.stderr
    swept = (project / "swept.txt").read_text().split()
    assert len(set(swept)) == 4
    name, value, best = done.stdout.split()
    assert name == "loss"
    losses = {}
    for run in swept:
        history = (project / run / "history.csv").read_text().splitlines()
        column = history[0].split(",").index("val_loss")
        losses[run] = min(float(row.split(",")[column]) for row in history[1:])
    assert best == min(losses, key=lambda run: losses[run])
    assert float(value) == pytest.approx(losses[best], rel=1e-5)


def test_the_network_layer_by_layer_trains_and_takes_names_on_the_command_line(
    tmp_path: Path,
) -> None:
    (text,) = re.findall(r"<!-- layers -->\n```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "net.yaml").write_text(text)
    change = "model.layers.block.residual[1].Linear=32"
    first, second = (
        nnarch.train(tmp_path / "net.yaml", *changes, runs_dir=tmp_path)
        for changes in ([], [change])
    )
    assert first.about["status"] == second.about["status"] == "finished"
    assert first.about["parameters"] - second.about["parameters"] == 3 * 96 * (64 + 1 + 64)


def test_the_fault_of_a_layer_is_told_as_the_readme_tells_it() -> None:
    (shown,) = re.findall(r"`error: net.yaml:7: (model.layers.3..Linear: .*?)`", README, re.DOTALL)
    convolutions = [{"Conv2d": [8, 3]}, "ReLU", {"MaxPool2d": 2}, {"Linear": "out"}]
    images = {"source": "sklearn", "dataset": "digits", "images": True}
    big = [{"Upsample": {"size": [28, 28]}}, *convolutions]
    told = " ".join(shown.split())
    with pytest.raises(ConfigError) as raised:
        nnarch.build({"data": images, "model": {"layers": big}})
    place = "config: model.layers[4].Linear: "
    assert raised.value.lines == [place + told.removeprefix("model.layers[3].Linear: ")]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # its search forks workers
def test_the_python_examples_run(
    project: Path, nnarch_forked: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, plugin = blocks("python")
    monkeypatch.chdir(project)
    exec(compile(program, "README.md", "exec"), {})
    (project / "my_layers.py").write_text(plugin)
    (command,) = re.findall(r"# my_layers.py:  nnarch (.*)", plugin)
    (model,) = re.findall("# ('model=.*')", plugin)
    words = shlex.split(command.replace("mine.yaml", "configs/mlp.yaml epochs=1"))
    for last in (words[-1:], shlex.split(model)):
        done = nnarch_forked(*words[:-1], *last)
        assert done.returncode == 0, done.stderr


def test_the_yaml_examples_are_configs(project: Path) -> None:
    from nnarch import config as configs
    from nnarch import exploration

    for text in blocks("yaml"):
        path = project / "example.yaml"
        path.write_text(text)
        if "search:" in text:
            assert exploration.load(path).trials == 200
        else:
            assert configs.load(path).epochs in (10, 124, 3)


def test_the_readme_names_what_exists() -> None:
    for path in re.findall(r"\]\(([\w./]+)\)", README):
        assert (ROOT / path).exists(), path
