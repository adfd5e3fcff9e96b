"""What a command works with: settings, and the engines of the sessions that it may work in, opened at first need."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.errors import PodsError
    from pytest_pods.engine.events import Progress
    from pytest_pods.engine.network_handle import Network
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.state.sessions import SessionRecord
    from pytest_pods.engine.volume import Volume
    from pytest_pods.settings import Settings

ENGINE_FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class Context:
    """One command's. Leaving the `with` block leaves every session; those of the command line and kept ones go on."""

    def __init__(self, *, root: str | None = None, session: str | None = None) -> None:
        self._root = root
        self._session = session
        self._settings: Settings | None = None
        self._opened: list[Engine] = []
        self._engines: dict[str, Engine] = {}
        self._networks: Engine | None = None
        self._volumes: Engine | None = None

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        opened, self._opened = self._opened, []
        if not opened:
            return
        from contextlib import ExitStack

        with ExitStack() as stack:
            for engine in opened:
                stack.callback(engine.close)

    @property
    def settings(self) -> Settings:
        """Raises InvalidSettingError."""
        if self._settings is None:
            from pathlib import Path

            from pytest_pods.settings import load_settings

            root = None if self._root is None else Path(self._root).absolute()
            self._settings = load_settings(arguments={"root": root})
        return self._settings

    def open_for_containers(self, *, progress: Progress | None = None) -> Engine:
        """The session that new containers belong to: the command line's, or the one of --session."""
        if self._session is not None:
            return self._attach(self.live_sessions()[0].id)
        from pytest_pods.engine.api import Engine

        settings = self.settings
        engine = Engine.open_command_line(
            root=settings.root,
            insecure_registries=settings.insecure_registries,
            pull=settings.pull_policy,
            timeout=settings.timeout,
            progress=progress,
        )
        return self._keep(engine)

    def open_for_images(self, *, progress: Progress | None = None) -> Engine:
        """A session of this process alone, for work on the store."""
        from pytest_pods.engine.api import Engine

        settings = self.settings
        engine = Engine.open(
            root=settings.root,
            insecure_registries=settings.insecure_registries,
            pull=settings.pull_policy,
            timeout=settings.timeout,
            progress=progress,
        )
        self._opened.append(engine)
        return engine

    def open_for_volumes(self) -> Engine:
        """Where volumes are made: the command line's place, which needs no session, or the session of --session."""
        if self._session is not None:
            return self._attach(self.live_sessions()[0].id)
        if self._volumes is None:
            from pytest_pods.engine.api import Engine

            self._volumes = Engine.open_command_line_volumes(root=self.settings.root)
            self._opened.append(self._volumes)
        return self._volumes

    def find_volumes(self) -> list[tuple[str, Volume]]:
        """All volumes: the command line's with an empty text, then those of kept sessions with the session's ID."""
        from pytest_pods.engine.errors import SessionNotFoundError

        found = [("", volume) for volume in self.open_for_volumes().volumes()]
        if self._session is not None:
            return found
        for record in self.live_sessions():
            if record.kind.leased:
                try:
                    found += [(record.id, volume) for volume in self._attach(record.id).volumes()]
                except SessionNotFoundError:
                    continue
        return found

    def get_volume(self, name: str) -> Volume:
        """By name, the command line's first. Raises VolumeNotFoundError."""
        from pytest_pods.engine.errors import VolumeNotFoundError

        for _, volume in self.find_volumes():
            if volume.name == name:
                return volume
        raise VolumeNotFoundError(
            f"no volume {name!r}" + (f" in session {self._session}" if self._session else ""),
            hint="pytest-pods volume ls lists those that there are",
        )

    def open_for_networks(self) -> Engine:
        """Where networks are made: the command line's place, for which nothing is started, or that of --session."""
        if self._session is not None:
            return self._attach(self.live_sessions()[0].id)
        if self._networks is None:
            from pytest_pods.engine.api import Engine

            self._networks = Engine.open_command_line_at_rest(root=self.settings.root)
            self._opened.append(self._networks)
        return self._networks

    def find_networks(self) -> list[tuple[str, Network]]:
        """All networks: the command line's with an empty text, then those of kept sessions with the session's ID."""
        from pytest_pods.engine.errors import SessionNotFoundError

        found = [("", network) for network in self.open_for_networks().networks()]
        if self._session is not None:
            return found
        for record in self.live_sessions():
            if record.kind.leased:
                try:
                    found += [(record.id, network) for network in self._attach(record.id).networks()]
                except SessionNotFoundError:
                    continue
        return found

    def get_network(self, name: str) -> tuple[str, Network]:
        """By name, ID or the ID's beginning, the command line's first; with its session's ID as `find_networks` has it.
        Raises NetworkNotFoundError."""
        from pytest_pods.engine.errors import NetworkNotFoundError

        found = self.find_networks()
        near = [one for one in found if name in (one[1].name, one[1].id)]
        near = near or [one for one in found if len(name) >= 2 and one[1].id.startswith(name)]
        if near:
            return near[0]
        raise NetworkNotFoundError(
            f"no network {name!r}" + (f" in session {self._session}" if self._session else ""),
            hint="pytest-pods network ls lists those that there are",
        )

    def live_sessions(self) -> list[SessionRecord]:
        """Those that can be worked in: the command line's first, then kept ones, the youngest first."""
        from pytest_pods.engine.api import Engine
        from pytest_pods.engine.state.sessions import SessionKind

        found = [record for record in Engine.sessions(self.settings.root) if not record.kind.of_tests]
        found.sort(key=lambda record: (record.kind is not SessionKind.COMMAND_LINE, -record.created))
        return found if self._session is None else [_pick(found, self._session)]

    def get_session(self, name: str) -> SessionRecord:
        """By ID, its beginning, or `command-line`. Raises SessionNotFoundError."""
        return _pick(self.live_sessions(), name)

    def live_engines(self) -> list[Engine]:
        """Engines of `live_sessions`; one that ends meanwhile is passed over."""
        from pytest_pods.engine.errors import SessionNotFoundError

        engines = []
        for record in self.live_sessions():
            try:
                engines.append(self._attach(record.id))
            except SessionNotFoundError:
                continue
        return engines

    def find_containers(self) -> list[tuple[Engine, Container]]:
        """All containers of the live sessions, oldest first within a session."""
        return [(engine, container) for engine in self.live_engines() for container in engine.containers()]

    def get_container(self, name: str) -> tuple[Engine, Container]:
        """By name, ID or the ID's beginning: the engine of its session, and it. Raises ContainerNotFoundError."""
        from pytest_pods.engine.errors import ContainerNotFoundError

        for engine in self.live_engines():
            containers = engine.containers()
            near = [one for one in containers if name in (one.name, one.id)]
            near = near or [one for one in containers if len(name) >= 2 and one.id.startswith(name)]
            if len(near) == 1:
                return engine, near[0]
            if near:
                raise ContainerNotFoundError(
                    f"{name!r} is the beginning of {len(near)} container IDs", hint="write more of it"
                )
        raise ContainerNotFoundError(
            f"no container {name!r}" + (f" in session {self._session}" if self._session else ""),
            hint="pytest-pods ps -a lists those that there are",
        )

    def find_pods(self) -> list[tuple[Engine, Pod]]:
        """All pods of the live sessions, oldest first within a session."""
        return [(engine, pod) for engine in self.live_engines() for pod in engine.pods()]

    def get_pod(self, name: str) -> tuple[Engine, Pod]:
        """By name, ID or the ID's beginning: the engine of its session, and it. Raises PodNotFoundError."""
        from pytest_pods.engine.errors import PodNotFoundError

        for engine in self.live_engines():
            pods = engine.pods()
            near = [one for one in pods if name in (one.name, one.id)]
            near = near or [one for one in pods if len(name) >= 2 and one.id.startswith(name)]
            if len(near) == 1:
                return engine, near[0]
            if near:
                raise PodNotFoundError(f"{name!r} is the beginning of {len(near)} pod IDs", hint="write more of it")
        raise PodNotFoundError(
            f"no pod {name!r}" + (f" in session {self._session}" if self._session else ""),
            hint="pytest-pods pod ps lists those that there are",
        )

    def get_container_or_pod(self, name: str) -> tuple[Engine, Container | Pod]:
        """A container's name counts before a pod's. Raises NotFoundError."""
        from pytest_pods.engine.errors import ContainerNotFoundError, NotFoundError, PodNotFoundError

        try:
            return self.get_container(name)
        except ContainerNotFoundError:
            try:
                return self.get_pod(name)
            except PodNotFoundError:
                raise NotFoundError(
                    f"no container or pod {name!r}" + (f" in session {self._session}" if self._session else ""),
                    hint="pytest-pods ps -a and pytest-pods pod ps list those that there are",
                ) from None

    def for_each(self, names: Iterable[str], act: Callable[[str], None]) -> int:
        """Does something with every name, past the faults, which are reported; the first fault's exit code, or 0."""
        from pytest_pods.engine.errors import PodsError

        code = 0
        for name in names:
            try:
                act(name)
            except PodsError as error:
                reported = self.report(error)
                code = code or reported
        return code

    def report(self, error: PodsError) -> int:
        """Prints an error and returns the exit code that it stands for, Docker's and Podman's."""
        from pytest_pods.cli.output import print_error

        print_error(error.brief + (f"\n{error.details}" if error.details else ""), hint=error.hint)
        return exit_code_of(error)

    def _attach(self, session_id: str) -> Engine:
        if session_id in self._engines:
            return self._engines[session_id]
        from pytest_pods.engine.api import Engine

        engine = Engine.attach(session_id, root=self.settings.root, timeout=self.settings.timeout)
        return self._keep(engine)

    def _keep(self, engine: Engine) -> Engine:
        self._engines[engine.session_id] = engine
        self._opened.append(engine)
        return engine


def _pick(records: list[SessionRecord], name: str) -> SessionRecord:
    from pytest_pods.engine.errors import SessionNotFoundError

    near = [record for record in records if record.id == name or (len(name) >= 2 and record.id.startswith(name))]
    near = [record for record in near if record.id == name] or near
    near = near or [record for record in records if record.kind.value == name]
    if len(near) == 1:
        return near[0]
    raise SessionNotFoundError(
        f"{name!r} is the beginning of {len(near)} session IDs" if near else f"no live session {name!r}",
        hint="pytest-pods sessions lists those that there are",
    )


def exit_code_of(error: PodsError) -> int:
    """127 for a command that is not there, 126 for one that cannot be executed, 125 for whatever else fails."""
    from pytest_pods.engine.errors import CommandNotExecutableError, CommandNotFoundError

    if isinstance(error, CommandNotFoundError):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutableError) else ENGINE_FAILED


def get_operands(operands: Sequence[str], *, all_of: bool, known: Callable[[], list[str]], what: str) -> list[str]:
    """The names that were given, or with a switch such as `--all` every name. Raises UsageError if there are none."""
    from pytest_pods.cli.options import UsageError

    if all_of:
        return known()
    if not operands:
        raise UsageError(f"missing {what}", hint="name at least one, or write --all")
    return list(operands)
