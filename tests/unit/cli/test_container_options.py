"""The options of `run` become the specification that they ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_pods.cli.commands.run import COMMAND
from pytest_pods.cli.container_options import absolute_volume, build_spec, read_environment
from pytest_pods.cli.options import UsageError, parse_arguments
from pytest_pods.engine.errors import InvalidInputError
from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy
from pytest_pods.engine.specs.health import HealthCheck
from pytest_pods.engine.specs.mounts import BindMount, TmpfsMount
from pytest_pods.engine.specs.networks import Attachment, NetworkMode
from pytest_pods.engine.specs.ports import PortSpec


def spec_of(*words: str) -> ContainerSpec:
    return build_spec(parse_arguments("run", COMMAND, words), remove=False)


def test_image_alone_leaves_everything_to_it() -> None:
    spec = spec_of("redis:7")
    assert (spec.image, spec.command, spec.entrypoint, spec.user) == ("redis:7", None, None, None)
    assert spec.network is NetworkMode.PRIVATE
    assert spec.stop_timeout == 10.0


def test_every_option_reaches_its_field() -> None:
    spec = spec_of(
        "-it", "--name", "n", "-h", "box", "-l", "a=b", "-l", "c", "--entrypoint", "/e", "-u", "1:2", "-w", "/w",
        "-e", "A=b=c", "-v", "/s:/t:ro", "--tmpfs", "/m:size=1m", "-p", "8080:80", "-p", "53/udp", "-P", "--read-only",
        "--cap-add", "NET_ADMIN,CAP_SYS_TIME", "--cap-drop", "ALL", "--privileged", "--stop-signal", "INT",
        "--stop-timeout", "2.5", "--pull", "never", "--platform", "linux/arm64", "--security-opt", "no-new-privileges",
        "--security-opt", "seccomp=unconfined", "image", "ls", "-l",
    )  # fmt: skip
    assert (spec.interactive, spec.tty, spec.publish_all, spec.read_only, spec.privileged) == (True,) * 5
    assert (spec.name, spec.hostname, spec.user, spec.workdir) == ("n", "box", "1:2", "/w")
    assert (spec.entrypoint, spec.command) == (("/e",), ("ls", "-l"))
    assert (spec.labels, spec.env) == ({"a": "b", "c": ""}, {"A": "b=c"})
    assert spec.mounts == (BindMount("/s", "/t", read_only=True), TmpfsMount("/m", 1 << 20))
    assert spec.ports == (PortSpec(80, 8080), PortSpec(53, protocol="udp"))
    assert (spec.cap_add, spec.cap_drop) == (("CAP_NET_ADMIN", "CAP_SYS_TIME"), ("ALL",))
    assert (spec.stop_signal, spec.stop_timeout) == ("SIGINT", 2.5)
    assert (spec.pull, spec.platform) == (PullPolicy.NEVER, "linux/arm64")
    assert (spec.no_new_privileges, spec.seccomp) == (True, False)


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (["--network", "none"], NetworkMode.NONE),
        (["--network=host"], NetworkMode.HOST),
        (["--network", "bridge"], NetworkMode.PRIVATE),
        (["--network", "podman"], NetworkMode.PRIVATE),
        (["--network", "private"], NetworkMode.PRIVATE),
        (["--network", "default"], NetworkMode.NAMED),
    ],
)
def test_network_modes_have_dockers_names_too(words: list[str], mode: NetworkMode) -> None:
    assert spec_of(*words, "image").network is mode


def test_empty_entrypoint_takes_that_of_the_image_away() -> None:
    assert spec_of("--entrypoint", "", "image", "ls").entrypoint == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "80:90:100:110"], "port"),
        (["-v", "no-colon"], "volume"),
        (["--name", "-bad"], "invalid name"),
        (["-w", "relative"], "absolute"),
        (["--network", "host", "-p", "80"], "cannot be published"),
    ],
)
def test_impossible_values_name_themselves(words: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        spec_of(*words, "image")


@pytest.mark.parametrize(
    "words", [["--stop-timeout", "soon"], ["--security-opt", "label=x"], ["-l", "=x"], ["-e", " A"]]
)
def test_malformed_values_are_wrong_use(words: list[str]) -> None:
    with pytest.raises(UsageError):
        spec_of(*words, "image")


def test_relative_volumes_count_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_volume("./data:/data:ro") == f"{tmp_path}/data:/data:ro"
    assert absolute_volume(".:/data") == f"{tmp_path}:/data"
    assert absolute_volume("~/x:/data") == f"{os.path.expanduser('~')}/x:/data"
    assert absolute_volume("/a:/data") == "/a:/data"


def test_variables_of_options_win_over_files_and_take_the_callers_value(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("# comment\n  A=1\nB=two words # kept\nOWN\nABSENT\n\n")
    found = read_environment([str(file)], ["A=2", "C=", "OTHER"], {"OWN": "o", "OTHER": "x"})
    assert found == {"A": "2", "B": "two words # kept", "OWN": "o", "C": "", "OTHER": "x"}


def test_environment_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "odd").write_text("OK=1\nnot a variable=x\n")
    for name, reason in (("missing", "No such file"), ("binary", "UTF-8"), ("odd", "odd:2")):
        with pytest.raises(UsageError, match=reason):
            read_environment([str(tmp_path / name)], [], {})


@pytest.mark.parametrize(
    ("words", "attachments"),
    [
        (["--network", "back"], (Attachment("back"),)),
        (["--net", "one", "--network=two"], (Attachment("one"), Attachment("two"))),
        (
            ["--network", "back:ip=10.0.0.7,ip6=fd00::7,mac=02:50:00:00:00:07,alias=a,alias=b,interface_name=in0"],
            (Attachment("back", ("a", "b"), ("10.0.0.7", "fd00::7"), "02:50:00:00:00:07", "in0"),),
        ),
        (
            ["--network", "back:alias=a", "--ip", "10.0.0.7", "--mac-address", "02:50:00:00:00:07"],
            (Attachment("back", ("a",), ("10.0.0.7",), "02:50:00:00:00:07"),),
        ),
    ],
)
def test_named_networks_become_places(words: list[str], attachments: tuple[Attachment, ...]) -> None:
    spec = spec_of(*words, "image")
    assert (spec.network, spec.networks) == (NetworkMode.NAMED, attachments)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "none", "--network", "back"], "--network none cannot be combined with --network back"),
        (["--network", "none", "--network", "host"], "--network none cannot be combined with --network host"),
        (["--network", "back", "--network", "back"], "--network back is given twice"),
        (["--network", "host:ip=10.0.0.7"], "--network host takes no options"),
        (["--network", "container:box", "--network", "back"], "--network container:box cannot be combined"),
        (["--network", "container:box", "--ip", "10.0.0.7"], "belong to a network with names"),
        (["--network", "ns:/proc/1/ns/net"], "a namespace is not joined by its path"),
        (["--network", "back:color=red"], "unknown option 'color'"),
        (["--network", "back:ip"], "'ip' is not KEY=VALUE"),
        (["--ip", "10.0.0.7"], "belong to a network with names"),
        (["--network-alias", "db"], "belong to a network with names"),
        (["--network", "one", "--network", "two", "--ip", "10.0.0.7"], "for one network only"),
        (["--network", "back:ip=10.0.0.8", "--ip", "10.0.0.7"], "network back: ip is given twice"),
        (["--network", "back", "--ip", "fd00::7"], "'fd00::7' is not an IPv4 address"),
        (["--network", "back", "--ip6", "10.0.0.7"], "'10.0.0.7' is not an IPv6 address"),
    ],
)
def test_networks_that_cannot_be_meant_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec_of(*words, "image")
    assert message in str(caught.value)


def test_network_of_a_container_and_resolv_conf_of_the_image_are_told_apart_from_names_and_addresses() -> None:
    spec = spec_of("--network", "container:box", "image")
    assert (spec.network_container, spec.networks) == ("box", ())
    spec = spec_of("--dns", "none", "image")
    assert (spec.image_resolv_conf, spec.dns) == (True, ())


def test_health_options_are_a_health_check() -> None:
    spec = spec_of(
        "--health-cmd", "curl -f localhost", "--health-interval", "1m30s", "--health-timeout=500ms", "--health-retries",
        "5", "--health-start-period", "2", "--health-start-interval", "0.5s", "--health-on-failure", "stop", "image",
    )  # fmt: skip
    assert spec.health == HealthCheck("curl -f localhost", 90.0, 0.5, 2.0, 0.5, 5, "stop")
    assert spec_of("image").health is None
    assert spec_of("--health-interval", "1h", "image").health == HealthCheck(interval=3600.0)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('["CMD", "test", "-e", "/x"]', ["test", "-e", "/x"]),
        ('["test", "-e", "/x"]', ["test", "-e", "/x"]),
        ('["CMD-SHELL", "test -e /x"]', "test -e /x"),
        ("[ -e /x ]", "[ -e /x ]"),
    ],
)
def test_health_command_may_be_a_list(text: str, command: list[str] | str) -> None:
    assert spec_of("--health-cmd", text, "image").health == HealthCheck(command)


@pytest.mark.parametrize("words", [["--no-healthcheck"], ["--health-cmd", "none"]])
def test_health_check_of_the_image_is_switched_off(words: list[str]) -> None:
    assert spec_of(*words, "image").health is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--health-interval", "soon"], "option --health-interval: 'soon' is not a duration"),
        (["--health-interval", "1x"], "option --health-interval: '1x' is not a duration"),
        (["--health-interval", "-1s"], "option --health-interval: '-1s' is not a duration"),
        (["--health-interval", "0s"], "interval of a health check has to be a number of seconds from 0.001"),
        (["--health-retries", "few"], "option --health-retries: 'few' is not a whole number"),
        (["--health-retries", "0"], "retries of a health check has to be a whole number from 1"),
        (["--health-on-failure", "panic"], "option --health-on-failure: 'panic' is none of"),
        (["--health-cmd", "[1]"], "option --health-cmd: '[1]' is not a list of texts"),
        (["--health-cmd", "[]"], "the command of a health check has to be"),
        (["--health-cmd", ""], "the command of a health check has to be"),
        (["--no-healthcheck", "--health-cmd", "true"], "option --health-cmd contradicts"),
        (["--health-cmd", "none", "--health-retries", "3"], "option --health-retries contradicts"),
    ],
)
def test_health_options_that_cannot_be_meant_name_themselves(words: list[str], message: str) -> None:
    with pytest.raises((InvalidInputError, UsageError)) as caught:
        spec_of(*words, "image")
    assert str(caught.value).startswith(message)
