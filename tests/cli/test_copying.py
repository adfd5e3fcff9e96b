"""`cp` and `diff` as people type them: Docker's rules, archives on pipes, and an ordinary user's files."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX
from tests.support.fixtures_user import StartUser
from tests.support.images import build_tar, busybox_image
from tests.support.rootless import USER


def start(cli: CommandLine, *options: str) -> None:
    cli.ok("run", "-d", "--network", "none", "--name", "box", *options, BUSYBOX, "sleep", "1000")


def test_files_go_in_and_out(cli: CommandLine, tmp_path: Path) -> None:
    start(cli)
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("hello")
    cli.ok("cp", f"{site}/.", "box:/srv")
    assert cli.ok("exec", "box", "ls", "/srv") == "index.html"
    cli.ok("cp", str(site), "box:srv")
    cli.ok("cp", "site/index.html", "box:/other", cwd=tmp_path)
    cli.ok("cp", "-a", "box:/srv", str(tmp_path / "back"))
    assert (tmp_path / "back" / "site" / "index.html").read_text() == "hello"
    changes = ["A /other", "A /srv", "A /srv/index.html", "A /srv/site", "A /srv/site/index.html"]
    assert cli.ok("diff", "box").splitlines() == changes
    cli.ok("stop", "box")
    cli.ok("cp", "box:/other", "./with:colon", cwd=tmp_path)
    assert (tmp_path / "with:colon").read_text() == "hello"


def test_link_is_followed_where_that_is_asked_for(cli: CommandLine, tmp_path: Path) -> None:
    start(cli)
    cli.ok("exec", "box", "ln", "-s", "/etc/passwd", "/link")
    cli.ok("cp", "box:/link", str(tmp_path / "link"))
    cli.ok("cp", "-L", "box:/link", str(tmp_path / "file"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text().startswith("root:")


def test_archives_go_through_pipes(cli: CommandLine) -> None:
    start(cli)
    for archive, *words in ((build_tar({"d/f": b"1"}), "cp", "-", "box:/tmp"), (None, "cp", "box:/tmp/d", "-")):
        done = subprocess.run(
            cli.argv(*words), env=cli.environment, input=archive, capture_output=True, check=True, timeout=60
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as written:
        assert written.getnames() == ["d", "d/f"]


def test_mistakes_are_named(cli: CommandLine, tmp_path: Path) -> None:
    start(cli)
    for words, says in (
        (("a", "b"), "neither of the two is in a container"),
        (("box:/a", "box:/b"), "by way of this machine"),
        (("box:/absent", "."), "copying /absent out of container box: No such file"),
        (("absent", "box:/"), "absent: No such file"),
        (("nobody:/a", "."), "no container 'nobody'"),
        (("-", "box:/etc/passwd"), "an archive to /etc/passwd of container box: Not a directory"),
    ):
        done = cli("cp", *words, cwd=tmp_path)
        assert done.returncode == 125
        assert says in done.stderr
    assert "unknown format" in cli("diff", "--format", "yaml", "box").stderr


def test_changes_are_told_to_people_and_programs(cli: CommandLine) -> None:
    start(cli)
    assert (cli.ok("diff", "box"), cli.json("diff", "--format", "json", "box")) == ("", {})
    cli.ok("exec", "box", "sh", "-c", "echo x > /new; rm /etc/group; echo >> /etc/passwd; touch $(printf '/\\033[31m')")
    assert cli.ok("diff", "box").splitlines() == ["A /\\x1b[31m", "D /etc/group", "C /etc/passwd", "A /new"]
    assert cli.json("diff", "--format", "json", "box") == {
        "changed": ["/etc/passwd"], "added": ["/\x1b[31m", "/new"], "deleted": ["/etc/group"]
    }


def test_ordinary_user_owns_what_comes_out_and_root_what_goes_in(user_on: StartUser) -> None:
    run = user_on("true", busybox_image(), BUSYBOX)
    assert run("run", "-d", "--name", "box", "--network", "none", BUSYBOX, "sleep", "1000").returncode == 0
    script = "mkdir -p /d/in; echo secret > /d/f; chown -R 1000:1000 /d; chmod 4700 /d/f; chmod 700 /d"
    assert run("exec", "box", "sh", "-c", script).returncode == 0
    home = f"~{USER}"
    place = Path(home).expanduser() / "copied"
    try:
        out = run("cp", "box:/d", str(place))
        assert (out.returncode, out.stderr) == (0, "")
        assert [(path.owner(), path.stat().st_mode & 0o7777) for path in (place, place / "f")] == [
            (USER, 0o700), (USER, 0o700)
        ]
        again = run("cp", str(place), "box:/back")
        assert (again.returncode, again.stderr) == (0, "")
        looked = run("exec", "box", "stat", "-c", "%u:%g %a", "/back/f")
        assert looked.stdout == "0:0 700\n"
        assert "A /back/f\n" in run("diff", "box").stdout
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)
