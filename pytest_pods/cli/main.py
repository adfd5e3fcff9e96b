"""pytest-pods: which commands there are, and what becomes of what they raise. Only the asked one is imported."""

from __future__ import annotations

import os
import sys
import warnings

from pytest_pods.cli.options import Command, UsageError, build_help, parse_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, Protocol, TextIO

    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

    class CommandModule(Protocol):
        """What a module below `commands` offers."""

        COMMAND: Command
        run: Callable[[Parsed, Context], int]


ENGINE_FAILED = 125
"""Docker's and Podman's exit code when the failure is not the container's."""
INTERRUPTED = 130
PIPE_CLOSED = 141

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Run": {
        "run": "create a container and start it",
        "exec": "run a command in a running container",
        "shell": "open a shell in a running container",
        "attach": "join a running container's streams",
    },
    "Containers": {
        "create": "create a container without starting it",
        "start": "start containers",
        "stop": "stop containers: the stop signal, a grace time, then the kill",
        "restart": "stop containers and start them again",
        "kill": "send a signal to containers",
        "pause": "freeze containers",
        "unpause": "let frozen containers go on",
        "wait": "wait until containers end, and print their exit codes",
        "rm": "remove containers",
        "ps": "list containers",
        "logs": "show a container's output",
        "top": "show the processes of a container",
        "stats": "show what containers use: processor, memory, network, disk",
        "inspect": "show everything about containers, images, volumes or networks",
        "healthcheck": "healthcheck run: check the health of a container now",
        "port": "show the published ports of a container",
        "cp": "copy files between a container and this machine",
        "diff": "show what a container has changed of its image's files",
    },
    "Images": {
        "pull": "bring an image from its registry",
        "load": "bring the images of an archive",
        "images": "list images",
        "rmi": "remove images",
        "image": "the same as a noun: image ls, image inspect, image rm, …",
    },
    "Pods": {
        "pod": "pod create, pod ps, pod logs, pod stop, pod rm, …",
        "kube": "kube play, kube down, kube generate: pods of files for Kubernetes",
    },
    "Volumes and networks": {
        "volume": "volume create, volume ls, volume inspect, volume rm, …",
        "network": "network create, network ls, network connect, network rm, …",
    },
    "Sessions and the machine": {
        "sessions": "list kept sessions and that of the command line, or end one",
        "gc": "remove what dead sessions left behind",
        "doctor": "tell what this machine can do, and what to install or change",
        "info": "tell where everything is and how much there is",
        "version": "tell the version",
    },
}

VERBS: Mapping[str, Mapping[str, str]] = {
    "healthcheck": {"run": "check the health of a container now; the exit code tells: 0 or 1"},
    "pod": {
        "create": "make a pod, which containers join with run --pod",
        "start": "start the containers of pods",
        "stop": "stop the containers of pods: the stop signal, a grace time, then the kill",
        "restart": "stop the containers of pods and start them again",
        "kill": "send a signal to the containers of pods",
        "pause": "freeze the containers of pods",
        "unpause": "let frozen containers of pods go on",
        "rm": "remove pods with their containers",
        "ps": "list pods",
        "inspect": "show everything about pods",
        "logs": "show the output of a pod's containers",
        "top": "show the processes of a pod",
        "stats": "show what the containers of pods use: processor, memory, network, disk",
        "exists": "tell by the exit code whether there is a pod: 0 or 1",
        "prune": "remove the pods in which nothing runs",
    },
    "kube": {
        "play": "run the pods of a file for Kubernetes",
        "down": "remove the pods of a file for Kubernetes",
        "generate": "write a pod or a container down for Kubernetes",
    },
    "volume": {
        "create": "make a volume",
        "ls": "list volumes",
        "inspect": "show everything about volumes",
        "exists": "tell by the exit code whether there is a volume: 0 or 1",
        "rm": "remove volumes with all that is in them",
        "prune": "remove the volumes that no container uses",
        "export": "write what is in a volume as a tar archive",
        "import": "put what is in a tar archive into a volume",
    },
    "network": {
        "create": "make a network",
        "ls": "list networks",
        "inspect": "show everything about networks",
        "exists": "tell by the exit code whether there is a network: 0 or 1",
        "connect": "put a container or a pod on a network, also while it runs",
        "disconnect": "take a container or a pod off a network, also while it runs",
        "reload": "make the interfaces of containers anew",
        "rm": "remove networks",
        "prune": "remove the networks that no container is on",
    },
}
"""Nouns whose verbs are commands of their own, in `commands/NOUN/VERB.py` (`import` in `import_.py`). They are named
`NOUN.VERB` here and `NOUN VERB` to people."""
_SYNONYMS = {"list": "ls", "remove": "rm"}
_POD_SYNONYMS = {"ls": "pod.ps", "list": "pod.ps"}


_NOUNS: Mapping[str, Mapping[str, str]] = {
    **{
        noun: {
            **{verb: f"{noun}.{verb}" for verb in verbs},
            **{synonym: f"{noun}.{verb}" for synonym, verb in _SYNONYMS.items() if verb in verbs},
            **(_POD_SYNONYMS if noun == "pod" else {}),
        }
        for noun, verbs in VERBS.items()
    },
    "image": {
        "ls": "images",
        "list": "images",
        "inspect": "inspect --type image",
        "rm": "rmi",
        "pull": "pull",
        "load": "load",
    },
    "container": {
        "ls": "ps",
        "list": "ps",
        **{
            name: name
            for group in ("Run", "Containers")
            for name in GROUPS[group]
            if name not in ("ps", "inspect") and name not in VERBS
        },
        "inspect": "inspect --type container",
    },
    "play": {"kube": "kube.play"},
    "generate": {"kube": "kube.generate"},
    "session": {"ls": "sessions ls", "end": "sessions end"},
}

HIDDEN = {
    "container-ended": "do what is to follow the end of a container (for its monitor)",
    "follow-health": "check a container's health until it ends (for its session)",
}

_HEAD = """\
Usage: pytest-pods [--root DIR] [--session ID] COMMAND …

Containers without a daemon. What runs here belongs to your own session on this machine, beside those that tests kept
with --pods-keep; a name is looked up in yours first.
"""
_TAIL = """\
Examples:
  pytest-pods run --rm -it debian bash
  pytest-pods run -d --name web -p 8080:80 nginx
  pytest-pods logs -f web
  pytest-pods rm -f web

`pytest-pods COMMAND --help` tells more. Exit codes are the container's; 125 means that pytest-pods itself failed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _fill_standard_streams()
    try:
        return _dispatch(words)
    except UsageError as error:
        from pytest_pods.cli.output import print_error

        print_error(str(error), hint=error.hint)
        return ENGINE_FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return PIPE_CLOSED


def run_program() -> NoReturn:
    """The command: `main`, without what only a long-lived process needs. Taking Python apart at the end would take
    longer than many a command."""
    import gc

    gc.disable()
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    os._exit(code)


def _dispatch(words: list[str]) -> int:
    leading = _take_leading_options(words)
    if not words or words[0] in ("help", "--help", "-h"):
        return _help(words[1:])
    if words[0] in ("--version", "-v"):
        words[0] = "version"
    if _asks_for_help_of_noun(words):
        return _help(words[:1])
    name, words = _resolve(words)
    module = _import_command(name)
    parsed = parse_arguments(_spoken(name), module.COMMAND, [*leading, *words])
    if parsed.flag("--help"):
        return _print_command_help(name)
    return _run(module, parsed)


def _take_leading_options(words: list[str]) -> list[str]:
    """The global options in front of the command's name, which mean the same behind it."""
    leading: list[str] = []
    while words and words[0].startswith("--"):
        flag, separator, _ = words[0].partition("=")
        if flag in ("--root", "--session"):
            if not separator and len(words) < 2:
                raise UsageError(f"option {flag} needs a value", hint="see pytest-pods --help")
            count = 1 if separator else 2
        elif flag == "--debug":
            count = 1
        else:
            break
        leading += words[:count]
        del words[:count]
    return leading


def _resolve(words: list[str]) -> tuple[str, list[str]]:
    """The command that is meant and what stands behind it; `image ls` is `images`."""
    name, rest = words[0], words[1:]
    if name in _NOUNS:
        verbs = _NOUNS[name]
        if not rest or rest[0] not in verbs:
            raise UsageError(
                f"unknown command {' '.join([name, *rest[:1]])!r}", hint=f"it takes: {', '.join(sorted(verbs))}"
            )
        target, *options = verbs[rest[0]].split()
        return target, [*options, *rest[1:]]
    if name in _summaries() or name in HIDDEN:
        return name, rest
    if name.startswith("-"):
        raise UsageError(f"unknown option {name}", hint="see pytest-pods --help")
    raise UsageError(f"unknown command {name!r}", hint=_did_you_mean(name))


def _asks_for_help_of_noun(words: list[str]) -> bool:
    return words[0] in _NOUNS and words[1:2] in (["--help"], ["-h"], ["help"])


def _spoken(name: str) -> str:
    return name.replace(".", " ")


def _summaries() -> dict[str, str]:
    """Command → what it does; a verb of a noun as `NOUN.VERB`."""
    found = {name: summary for group in GROUPS.values() for name, summary in group.items()}
    found.update({f"{noun}.{verb}": summary for noun, verbs in VERBS.items() for verb, summary in verbs.items()})
    return found


def _did_you_mean(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, [known for known in _summaries() if "." not in known], n=1)
    return f"did you mean {near[0]}?" if near else "pytest-pods --help lists the commands"


def _import_command(name: str) -> CommandModule:
    # importlib would cost some milliseconds more.
    full_name = f"pytest_pods.cli.commands.{name.replace('-', '_')}"
    if name.endswith(".import"):
        full_name += "_"
    __import__(full_name)
    module: CommandModule = sys.modules[full_name]
    return module


def _help(words: list[str]) -> int:
    if words and words[0] in _NOUNS and len(words) == 1:
        return _print_noun_help(words[0])
    if words:
        return _print_command_help(_resolve(words)[0])
    lines = [_HEAD]
    for title, commands in GROUPS.items():
        lines += [f"{title}:", *(f"  {name:<12}{summary}" for name, summary in commands.items()), ""]
    print("\n".join([*lines, _TAIL]), end="")
    return 0


def _print_command_help(name: str) -> int:
    print(build_help(_spoken(name), {**_summaries(), **HIDDEN}[name], _import_command(name).COMMAND), end="")
    return 0


def _print_noun_help(noun: str) -> int:
    summaries = _summaries()
    targets: dict[str, str] = {}
    for verb, target in _NOUNS[noun].items():
        targets.setdefault(target, verb)
    lines = [f"Usage: pytest-pods {noun} COMMAND …", "", "Commands:"]
    lines += [f"  {verb:<12}{summaries[target.split()[0]]}" for target, verb in targets.items()]
    print("\n".join([*lines, "", f"`pytest-pods {noun} COMMAND --help` tells more."]))
    return 0


def _run(module: CommandModule, parsed: Parsed) -> int:
    from pytest_pods.cli.context import Context

    context = Context(root=parsed.find("--root"), session=parsed.find("--session"))
    warnings.showwarning = _show_warning
    try:
        with context:
            return module.run(parsed, context)
    except Exception as error:
        from pytest_pods.engine.errors import PodsError

        if not isinstance(error, PodsError):
            raise
        if parsed.flag("--debug") or os.environ.get("PYTEST_PODS_DEBUG", "0") not in ("", "0"):
            import traceback

            traceback.print_exc()
        return context.report(error)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    from pytest_pods.cli.output import print_warning

    print_warning(str(message))


def _fill_standard_streams() -> None:
    # Where the caller closed one, the next file that is opened would get its number, and be taken for it.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _forget_stdout() -> None:
    # Whoever read our output is gone; Python would complain once more when it flushes at its end.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
