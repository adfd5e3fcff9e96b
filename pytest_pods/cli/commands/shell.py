"""`shell`: the best shell that a running container, or a pod, has, on the caller's terminal; else one of the host's."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.executing import ExecOptions
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.pod import Pod

COMMAND = Command(
    "CONTAINER|POD",
    OptionGroup(
        "Options",
        Option("-u", "--user", value="USER[:GROUP]", help="who it runs as (default: the container's user)"),
        Option("-w", "--workdir", value="DIR", help="its working directory (default: the container's)"),
        Option("--privileged", help="all capabilities that this user has"),
        Option("--member", value="NAME", help="of a pod: the member to enter (default: the first that has a shell)"),
        Option("--network-only", help="a shell of the host's, in the container's network, where its names are found"),
    ),
    least=1,
    most=1,
    text="Where an image has no shell, it is one of the host's, as with --network-only.",
    examples=[
        ("pytest-pods shell db", "look around in a container that a failed test has kept"),
        ("pytest-pods shell shop", "in a pod, where its members are found by their names"),
        ("pytest-pods shell --network-only db", "with this machine's psql, dig and curl"),
    ],
)

_SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/zsh", "/bin/ash", "/bin/sh", "/busybox/sh", "/bin/busybox")


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.executing import ExecOptions
    from pytest_pods.cli.options import UsageError
    from pytest_pods.cli.terminal import is_terminal

    options = ExecOptions(
        interactive=True,
        tty=is_terminal(0),
        workdir=parsed.find("--workdir"),
        user=parsed.find("--user"),
        privileged=parsed.flag("--privileged"),
    )
    only_network = parsed.flag("--network-only")
    if only_network and (options.user is not None or options.privileged):
        raise UsageError("--network-only gives a shell of the host's, which runs as you: no --user, no --privileged")
    name, member = parsed.operands[0], parsed.find("--member")
    found = _find(context, name, pod_wanted=member is not None)
    candidates = _choose(found, member, running=not only_network)
    if not only_network:
        for container in candidates:
            command = find_shell(container)
            if command is not None:
                return _enter(container, command, options, told=len(candidates) > 1)
    return _enter_network(candidates[0], name, options, asked=only_network)


def _find(context: Context, name: str, *, pod_wanted: bool) -> Container | Pod:
    """A container, or else a pod, of that name. Raises NotFoundError."""
    from pytest_pods.engine.errors import ContainerNotFoundError, PodNotFoundError

    if pod_wanted:
        return context.get_pod(name)[1]
    try:
        return context.get_container(name)[1]
    except ContainerNotFoundError as error:
        try:
            return context.get_pod(name)[1]
        except PodNotFoundError:
            raise ContainerNotFoundError(
                f"{error.brief}, nor a pod of that name",
                hint="pytest-pods ps -a and pytest-pods pod ps list those that there are",
            ) from None


def _choose(found: Container | Pod, member: str | None, *, running: bool) -> list[Container]:
    """The containers in question, the first one first. Raises NotFoundError, WrongStateError."""
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.errors import NotFoundError, WrongStateError

    if isinstance(found, Container):
        return [found]
    members = found.containers
    if member is not None:
        if member not in members:
            raise NotFoundError(f"pod {found.name} has no member {member!r} (but {', '.join(members) or 'none'})")
        return [members[member]]
    chosen = [one for one in members.values() if one.status == "running" or not running]
    if not chosen:
        raise WrongStateError(
            f"no member of pod {found.name} runs",
            hint=f"pytest-pods pod logs {found.name}, or --network-only for its network",
        )
    return chosen


def find_shell(container: Container) -> list[str] | None:
    """The first shell that starts there, None if none does. Raises WrongStateError if it does not run."""
    for shell in _SHELLS:
        command = [shell, "sh"] if shell.endswith("busybox") else [shell]
        if container.exec([*command, "-c", "exit 0"]).ok:
            return command
    return None


def _enter(container: Container, command: list[str], options: ExecOptions, *, told: bool) -> int:
    from pytest_pods.cli.executing import execute

    if told:
        from pytest_pods.cli.output import print_note

        print_note(f"in container {container.name} ({container.image}); --member enters another")
    return execute(container, command, options)


def _enter_network(container: Container, name: str, options: ExecOptions, *, asked: bool) -> int:
    import os
    from dataclasses import replace

    from pytest_pods.cli.executing import InNetwork, execute_at
    from pytest_pods.cli.output import print_note
    from pytest_pods.engine.errors import CommandNotFoundError

    if not asked and (options.user is not None or options.privileged):
        raise CommandNotFoundError(
            f"{name} has no shell that could run as asked", hint="--network-only gives one of the host's"
        )
    why = "" if asked else f"{name} has no shell of its own: "
    print_note(f"{why}a shell of this machine in the network of {container.name}, where its names are found")
    # A directory of the container's need not be one of the host's.
    workdir = options.workdir if asked and options.workdir else os.getcwd()
    here = replace(options, env=dict(os.environ), workdir=workdir)
    return execute_at(InNetwork(container.beside), [os.environ.get("SHELL") or "/bin/sh"], here)
