"""Where a run came from: the commit of the working directory, told by real repositories of git."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nnarch.provenance import git, provenance, versions

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")
OURSELVES = ["-c", "user.name=Nobody", "-c", "user.email=nobody@localhost"]


def told(*words: str, cwd: Path) -> str:
    command = ["git", *OURSELVES, *words]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def _no_config_but_the_repository_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a repository with one commit of one file."""
    path = tmp_path / "repository"
    path.mkdir()
    told("init", "-q", cwd=path)
    (path / "notes.txt").write_text("one\n")
    commit(path)
    monkeypatch.chdir(path)
    return path


def commit(path: Path) -> None:
    told("add", "-A", cwd=path)
    told("commit", "-q", "-m", "notes", cwd=path)


def head(path: Path) -> str:
    return told("rev-parse", "HEAD", cwd=path).strip()


def test_the_commit_of_the_working_directory(repository: Path):
    assert git() == {"commit": head(repository), "dirty": False}
    assert provenance(["nnarch"])["git"] == git()


def test_the_commit_seen_from_a_directory_within(repository: Path, monkeypatch: pytest.MonkeyPatch):
    (repository / "deep").mkdir()
    monkeypatch.chdir(repository / "deep")
    assert git() == {"commit": head(repository), "dirty": False}


def test_a_detached_commit(repository: Path):
    first = head(repository)
    (repository / "notes.txt").write_text("two\n")
    commit(repository)
    told("checkout", "-q", first, cwd=repository)
    assert git() == {"commit": first, "dirty": False}


def test_a_repository_of_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told("init", "-q", "--object-format=sha256", cwd=tmp_path)
    (tmp_path / "notes.txt").write_text("one\n")
    commit(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert git() == {"commit": head(tmp_path), "dirty": False}
    assert len(head(tmp_path)) == 64


CHANGES = {
    "another line": lambda path: (path / "notes.txt").write_text("two\n"),
    "a line of the same length": lambda path: (path / "notes.txt").write_text("eno\n"),
    "a file less": lambda path: (path / "notes.txt").unlink(),
    "a link in its place": lambda path: (
        (path / "notes.txt").unlink(),
        (path / "notes.txt").symlink_to("elsewhere"),
    ),
    "staged": lambda path: (
        (path / "notes.txt").write_text("two\n"),
        told("add", "notes.txt", cwd=path),
    ),
    "another mode": lambda path: (path / "notes.txt").chmod(0o755),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_dirty(change, repository: Path):
    change(repository)
    assert git() == {"commit": head(repository), "dirty": True}


def test_what_is_no_change(repository: Path):
    (repository / "new.txt").write_text("not known to git\n")
    os.utime(repository / "notes.txt", (0, 0))
    assert git() == {"commit": head(repository), "dirty": False}


def test_what_the_repository_says_of_modes_and_lines_is_heeded(repository: Path):
    (repository / ".gitattributes").write_text("*.txt text eol=crlf\n")
    commit(repository)
    told("config", "core.fileMode", "false", cwd=repository)
    (repository / "notes.txt").unlink()
    told("checkout", "-q", "notes.txt", cwd=repository)
    assert (repository / "notes.txt").read_bytes() == b"one\r\n"
    (repository / "notes.txt").chmod(0o755)
    touch(repository)
    assert git() == {"commit": head(repository), "dirty": False}


def test_no_commit_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told("init", "-q", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert git() is None


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git() is None


def test_a_bare_repository_has_no_files_to_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told("init", "-q", "--bare", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert git() is None


def test_no_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git() is None
    assert versions()["torch"]


# A stranger's repository. Each of these is first seen to run its program when git is asked
# without care, so that none of them passes for a wrong reason.


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a file behind when it is run."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\ntouch '{tmp_path}/canary'\nexit 1\n")
    path.chmod(0o755)
    return path


def filtered(path: Path, program: Path, name: str = "clean", driver: str = "evil") -> None:
    told("config", f"filter.{driver}.{name}", str(program), cwd=path)
    told("config", f"filter.{driver}.required", "true", cwd=path)
    attributes = path / ".git" / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text(f"* filter={driver}\n")
    touch(path)


def touch(path: Path) -> None:
    """Have git look at the content of what has not changed."""
    for file in path.glob("*.txt"):
        os.utime(file, (0, 0))


def included(path: Path, program: Path) -> None:
    filtered(path, program)
    (path / ".git" / "config").rename(path / ".git" / "more")
    (path / ".git" / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n[include]\n\tpath = more\n"
    )


def of_this_tree(path: Path, program: Path) -> None:
    """In the config of a single working tree, which is a scope of its own."""
    told("config", "extensions.worktreeConfig", "true", cwd=path)
    filtered(path, program)
    told("config", "--unset", "filter.evil.clean", cwd=path)
    told("config", "--worktree", "filter.evil.clean", str(program), cwd=path)


def by_attributes_of_the_tree(path: Path, program: Path) -> None:
    filtered(path, program)
    (path / ".git" / "info" / "attributes").unlink()
    (path / ".gitattributes").write_text("*.txt filter=evil\n")


def monitored(path: Path, program: Path) -> None:
    told("config", "core.fsmonitor", str(program), cwd=path)


def hooked(path: Path, program: Path) -> None:
    hook = path / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    shutil.copy(program, hook)
    touch(path)


def hooked_elsewhere(path: Path, program: Path) -> None:
    hooks = path / "hooks"
    hooks.mkdir()
    shutil.copy(program, hooks / "post-index-change")
    told("config", "core.hooksPath", "hooks", cwd=path)
    touch(path)


def with_a_submodule(path: Path, program: Path) -> None:
    inner = path / "inner"
    inner.mkdir()
    told("init", "-q", cwd=inner)
    (inner / "notes.txt").write_text("one\n")
    commit(inner)
    (path / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ./inner\n')
    commit(path)
    monitored(inner, program)


def promised(path: Path, program: Path) -> None:
    """Objects are missing, which a remote is said to have; it is asked by a program."""
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::{program}",
        "protocol.ext.allow": "always",
    }.items():
        told("config", name, value, cwd=path)
    tree = told("rev-parse", "HEAD^{tree}", cwd=path).strip()
    (path / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    (path / ".git" / "index").unlink()


HOSTILE = {
    "a filter": filtered,
    "a filter that stays": lambda path, program: filtered(path, program, "process"),
    "a filter of a name with dots": lambda path, program: filtered(
        path, program, driver="a.b.clean"
    ),
    "a filter of a name with =": lambda path, program: filtered(path, program, driver="a=b"),
    "a filter of a config that is included": included,
    "a filter of this tree alone": of_this_tree,
    "a filter that the tree asks for": by_attributes_of_the_tree,
    "a file system monitor": monitored,
    "a hook": hooked,
    "a hook elsewhere": hooked_elsewhere,
    "the config of a submodule": with_a_submodule,
    "a remote for missing objects": promised,
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_a_program_that_a_repository_names_is_not_run(
    spoil, repository: Path, program: Path, tmp_path: Path
):
    canary, copy = tmp_path / "canary", tmp_path / "copy"
    spoil(repository, program)
    shutil.copytree(repository, copy, symlinks=True)
    answer = git()
    assert not canary.exists()
    assert answer is None or answer["commit"] == head(repository)
    command = ["git", "status", "--porcelain", "-uno"]
    subprocess.run(command, cwd=copy, capture_output=True, timeout=20)
    assert canary.exists(), "git asked without care runs it"
