"""A container in the foreground: the caller's streams, keys and signals are its own until it ends or is left."""

from __future__ import annotations

import signal
from contextlib import ExitStack, suppress

from pytest_pods.cli.output import print_note
from pytest_pods.cli.removal import as_client, remove_own
from pytest_pods.cli.terminal import SignalQueue, find_size, raw, warn_without_terminal
from pytest_pods.engine.errors import ContainerNotFoundError, PodsError, SandboxLostError, WrongStateError
from pytest_pods.engine.services.attachment import DETACH_KEYS, AttachEnd, parse_detach_keys
from pytest_pods.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.services.attachment import Attachment

_FORCED_AFTER = 3


@frozen
class Foreground:
    """How the caller's streams are joined: `interactive` passes input on, `proxy` signals."""

    interactive: bool
    tty: bool
    proxy: bool = True
    detach_keys: bytes = DETACH_KEYS


def parse_keys(text: str | None) -> bytes:
    """What `--detach-keys` says. Raises InvalidInputError."""
    return DETACH_KEYS if text is None else parse_detach_keys(text)


def run_in_foreground(container: Container, how: Foreground, *, start: bool) -> int:
    """Attaches, starts the container if asked to, and relays until it ends; its exit code.

    After a detach the code is 0 and the container goes on.
    """
    warn_without_terminal(tty_wanted=how.tty, interactive=how.interactive)
    with ExitStack() as stack:
        attachment = stack.enter_context(
            container.attach(stdin=0 if how.interactive else None, stdout=1, stderr=2)
        )
        signals = stack.enter_context(SignalQueue())
        if how.tty:
            _pass_size(attachment, redraw=not start)
            if how.interactive:
                stack.enter_context(raw(0))
        if start:
            container.start()
        proxy = _SignalProxy(container, attachment, signals, how)
        end = attachment.relay(
            detach_keys=how.detach_keys if how.tty else b"", watch={signals.fileno(): proxy.pass_on}
        )
    if end is AttachEnd.DETACHED:
        print_note("")
        print_note(f"detached: {container.name} goes on (pytest-pods attach {container.name})")
        return 0
    if end is AttachEnd.OUTPUT_CLOSED:
        raise BrokenPipeError
    return container.wait()


def _pass_size(attachment: Attachment, *, redraw: bool = False) -> None:
    size = find_size(0) or find_size(1)
    if size is not None:
        if redraw:
            # A program draws its screen again when the size changes, and we have seen nothing of it yet.
            attachment.resize(rows=size[0] + 1, columns=size[1])
        attachment.resize(rows=size[0], columns=size[1])


class _SignalProxy:
    def __init__(self, container: Container, attachment: Attachment, signals: SignalQueue, how: Foreground) -> None:
        self._container = container
        self._attachment = attachment
        self._signals = signals
        self._how = how
        self._impatient = 0

    def pass_on(self) -> None:
        for number in self._signals.take():
            if number == signal.SIGWINCH:
                if self._how.tty:
                    _pass_size(self._attachment)
                continue
            if not self._how.proxy:
                raise KeyboardInterrupt
            if number in (signal.SIGINT, signal.SIGTERM):
                self._impatient += 1
                if self._impatient >= _FORCED_AFTER:
                    fate = "it is removed by force" if self._container.spec.remove else "it is left running"
                    print_note(f"{self._container.name} did not end at {_FORCED_AFTER} signals: {fate}")
                    raise KeyboardInterrupt
            with suppress(WrongStateError, ContainerNotFoundError, SandboxLostError):
                self._container.kill(number.name)


def run_created(context: Context, engine: Engine, container: Container, how: Foreground) -> int:
    """Starts a created container in the foreground; one of `--rm` is removed on every way out but a detach."""
    if not container.spec.remove:
        return run_in_foreground(container, how, start=True)
    with as_client(engine, container):
        left_running = False
        try:
            code = run_in_foreground(container, how, start=True)
            left_running = _runs(container)
            return code
        finally:
            if not left_running and (fault := remove_own(container)):
                context.report(fault)


def _runs(container: Container) -> bool:
    try:
        return container.running
    except PodsError:
        return False
