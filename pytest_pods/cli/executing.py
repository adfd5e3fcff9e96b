"""A command executed in a container, or beside one, on the caller's streams: `exec` and `shell`.

What the caller's terminal is connected to is never given to the container: a command there could otherwise read keys
after the command line has ended, or put keys into it. It gets a terminal or pipes of its own, and data is relayed.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from pytest_pods.cli.terminal import SignalQueue, find_size, is_terminal, raw
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.host.terminals import Terminal
    from pytest_pods.engine.services.beside import Beside

_CHUNK = 65536
_END_OF_TRANSMISSION = b"\x04"


@frozen
class ExecOptions:
    """What `exec` was asked for beside the command."""

    interactive: bool = False
    tty: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    user: str | None = None
    privileged: bool = False


class Place(Protocol):
    """Where a command can be executed."""

    def open_terminal(self) -> Terminal:
        """A terminal that exists there; the caller closes it."""

    def run(
        self, command: Sequence[str], options: ExecOptions, *, stdin: int | None, stdout: int, stderr: int
    ) -> int:
        """Runs the command to its end and returns its exit code."""


class InContainer:
    """In a container that runs."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def open_terminal(self) -> Terminal:
        return self._container.open_terminal()

    def run(
        self, command: Sequence[str], options: ExecOptions, *, stdin: int | None, stdout: int, stderr: int
    ) -> int:
        return self._container.exec_attached(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            tty=options.tty,
            user=options.user,
            workdir=options.workdir,
            env=options.env,
            privileged=options.privileged,
        )


class InNetwork:
    """On the host's files, in the network of a container; nobody else can be asked for, and no more rights."""

    def __init__(self, beside: Beside) -> None:
        self._beside = beside

    def open_terminal(self) -> Terminal:
        return self._beside.open_terminal()

    def run(
        self, command: Sequence[str], options: ExecOptions, *, stdin: int | None, stdout: int, stderr: int
    ) -> int:
        return self._beside.exec_attached(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            tty=options.tty,
            workdir=options.workdir,
            env=options.env,
        )


def execute(container: Container, command: Sequence[str], options: ExecOptions) -> int:
    """Runs the command in a container to its end and returns its exit code."""
    return execute_at(InContainer(container), command, options)


def execute_at(place: Place, command: Sequence[str], options: ExecOptions) -> int:
    """As `execute`, anywhere."""
    if options.tty:
        return _execute_on_terminal(place, command, options)
    descriptors = [0] if options.interactive else []
    if not any(is_terminal(descriptor) for descriptor in (*descriptors, 1, 2)):
        return place.run(command, options, stdin=0 if options.interactive else None, stdout=1, stderr=2)
    return _execute_on_pipes(place, command, options)


def start_detached(container: Container, command: Sequence[str], options: ExecOptions) -> int:
    """Starts the command and leaves it to itself."""
    container.exec_detached(
        command, user=options.user, workdir=options.workdir, env=options.env, privileged=options.privileged
    )
    return 0


class _Execution(threading.Thread):
    """The command, awaited on a thread; `done` is readable at its end."""

    def __init__(
        self, place: Place, command: Sequence[str], options: ExecOptions, *, given: tuple[int | None, int, int]
    ) -> None:
        super().__init__(name="pytest-pods exec", daemon=True)
        self._place = place
        self._command = command
        self._options = options
        self._given = given
        self._fault: BaseException | None = None
        self._code = 0
        self.done, self._finished = os.pipe()

    def run(self) -> None:
        stdin, stdout, stderr = self._given
        try:
            self._code = self._place.run(self._command, self._options, stdin=stdin, stdout=stdout, stderr=stderr)
        except BaseException as error:
            self._fault = error
        finally:
            for descriptor in {one for one in self._given if one is not None}:
                os.close(descriptor)
            os.close(self._finished)

    def result(self) -> int:
        self.join()
        os.close(self.done)
        if self._fault is not None:
            raise self._fault
        return self._code


def _execute_on_terminal(place: Place, command: Sequence[str], options: ExecOptions) -> int:
    with ExitStack() as stack:
        terminal = stack.enter_context(place.open_terminal())
        signals = stack.enter_context(SignalQueue((signal.SIGWINCH,)))
        inner = os.dup(terminal.inner)
        terminal.close_inner()

        def pass_size() -> None:
            signals.take()
            size = find_size(0) or find_size(1)
            if size is not None:
                terminal.resize(rows=size[0], columns=size[1])

        pass_size()
        execution = _Execution(place, command, options, given=(inner, inner, inner))
        if options.interactive:
            stack.enter_context(raw(0))
        execution.start()
        pump = Pump(
            inputs={0: terminal.outer} if options.interactive else {},
            outputs={terminal.outer: 1},
            watch={signals.fileno(): pass_size},
            end_of_input=_END_OF_TRANSMISSION,
        )
        pump.run(until=execution.done)
        return execution.result()


def _execute_on_pipes(place: Place, command: Sequence[str], options: ExecOptions) -> int:
    inputs, outputs = {}, {}
    with ExitStack() as stack:
        stdin: int | None = None
        if options.interactive:
            stdin = os.dup(0)
            if is_terminal(0):
                os.close(stdin)
                stdin, inputs[0] = os.pipe()
        writing_ends = []
        for number in (1, 2):
            if not is_terminal(number):
                writing_ends.append(os.dup(number))
                continue
            reading, writing = os.pipe()
            writing_ends.append(writing)
            outputs[reading] = number
            stack.callback(os.close, reading)
        pump = Pump(inputs=inputs, outputs=outputs)
        stack.callback(pump.close_inputs)
        execution = _Execution(place, command, options, given=(stdin, writing_ends[0], writing_ends[1]))
        execution.start()
        pump.run(until=execution.done)
        return execution.result()


class Pump:
    """Carries data between descriptors until a command has ended and what it said is out.

    Input that the command does not take is kept back, so that it never holds up output. Inputs are the pump's to close.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[int, int],
        outputs: Mapping[int, int],
        watch: Mapping[int, Callable[[], None]] | None = None,
        end_of_input: bytes | None = None,
    ) -> None:
        self._inputs = dict(inputs)
        self._outputs = dict(outputs)
        self._watch = dict(watch or {})
        self._end_of_input = end_of_input
        self._pending: dict[int, bytes] = {}
        self._ending: set[int] = set()
        for target in self._inputs.values():
            os.set_blocking(target, False)

    def run(self, *, until: int) -> None:
        """Until `until` is readable; then what is there already is carried too, and no more is awaited."""
        while True:
            ready = self._wait(until)
            for source in [one for one in self._outputs if one in ready]:
                self._carry_output(source)
            for source in [one for one in self._inputs if one in ready]:
                self._take_input(source)
            for source, target in list(self._inputs.items()):
                if target in ready and self._pending.get(source):
                    self._give_input(source)
            for descriptor, call in self._watch.items():
                if descriptor in ready:
                    call()
            if until in ready:
                break
        while self._outputs and (left := self._wait_outputs()):
            for source in left:
                self._carry_output(source)

    def _wait(self, until: int) -> set[int]:
        poll = select.poll()
        for descriptor in (*self._outputs, *self._watch, until):
            poll.register(descriptor, select.POLLIN)
        for source, target in self._inputs.items():
            if self._pending.get(source):
                interest = select.POLLOUT | (select.POLLIN if target in self._outputs else 0)
                poll.register(target, interest)
            elif source not in self._ending:
                poll.register(source, select.POLLIN)
        return {descriptor for descriptor, _ in poll.poll()}

    def _wait_outputs(self) -> list[int]:
        poll = select.poll()
        for descriptor in self._outputs:
            poll.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(0)]

    def close_inputs(self) -> None:
        """The command sees the end of its input."""
        for source in list(self._inputs):
            self._close_input(source)

    def _close_input(self, source: int) -> None:
        target = self._inputs.pop(source)
        if target not in self._outputs:
            os.close(target)

    def _carry_output(self, source: int) -> None:
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            # The other end of a pseudo terminal is closed by all.
            data = b""
        if data:
            _write_all(self._outputs[source], data)
        else:
            del self._outputs[source]

    def _take_input(self, source: int) -> None:
        if self._pending.get(source) or source in self._ending:
            return
        try:
            data = os.read(source, _CHUNK)
        except OSError:
            data = b""
        if not data:
            self._ending.add(source)
            data = self._end_of_input or b""
        self._pending[source] = data
        self._give_input(source)

    def _give_input(self, source: int) -> None:
        data = self._pending.get(source, b"")
        try:
            data = data[os.write(self._inputs[source], data) :] if data else b""
        except BlockingIOError:
            return
        except OSError:
            self._ending.add(source)
            data = b""
        self._pending[source] = data
        if not data and source in self._ending and self._end_of_input is None:
            self._close_input(source)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
