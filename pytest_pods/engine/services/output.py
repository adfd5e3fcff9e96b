"""What containers write: logs so far, logs as they come, and attachments to their standard streams."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ContainerNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.host.inotify import Watcher
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.runtime.logs import Excerpt, HeldLog, LogLine, LogPosition, LogReader
    from pytest_pods.engine.services.attachment import Attachment
    from pytest_pods.engine.services.lifecycle import Lifecycle


class Output:
    """The output of the containers of one session."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def logs(
        self,
        record: ContainerRecord,
        *,
        since: LogPosition | None,
        tail: int | None,
        stream: str | None,
        timestamps: bool,
    ) -> str:
        lines = self.lines(record, follow=False, since=since, tail=tail)
        return "".join(
            f"{line.timestamp} {line.output}" if timestamps else line.output
            for line in lines
            if stream is None or line.stream == stream
        )

    def lines(
        self, record: ContainerRecord, *, follow: bool, since: LogPosition | None, tail: int | None
    ) -> Iterator[LogLine]:
        """Lines from `since` on, the last `tail` of those that there are; with `follow` until the container ends."""
        from pytest_pods.engine.runtime import logs

        path = self._lifecycle.layout(record).log_file
        if not follow:
            yield from logs.read_lines(path, since=since) if tail is None else logs.read_tail(path, tail, since=since)
            return
        descriptor = self._lifecycle.open_exit_descriptor(record)
        if descriptor is None:
            yield from self.lines(record, follow=False, since=since, tail=tail)
            return
        try:
            if tail is not None:
                end = logs.find_end(path)
                yield from logs.read_tail(path, tail, since=since)
                since = end
            yield from logs.follow_lines(path, ended=descriptor.fileno(), since=since)
        finally:
            descriptor.close()

    def position(self, record: ContainerRecord) -> LogPosition:
        from pytest_pods.engine.runtime import logs

        return logs.find_end(self._lifecycle.layout(record).log_file)

    def excerpt(self, record: ContainerRecord, count: int, *, since: LogPosition | None) -> Excerpt:
        from pytest_pods.engine.runtime import logs

        return logs.read_excerpt(self._lifecycle.layout(record).log_file, count, since=since)

    def hold(self, record: ContainerRecord) -> HeldLog:
        """Raises ContainerNotFoundError."""
        from pytest_pods.engine.runtime import logs

        try:
            return logs.HeldLog(self._lifecycle.layout(record).log_file)
        except FileNotFoundError:
            raise ContainerNotFoundError.removed(record.name, record.id) from None

    def reader(self, record: ContainerRecord, *, since: LogPosition | None) -> LogReader:
        from pytest_pods.engine.runtime import logs

        return logs.LogReader(self._lifecycle.layout(record).log_file, since=since)

    @contextmanager
    def watch(self, record: ContainerRecord) -> Iterator[Watcher]:
        """Readable when there is new output."""
        from pytest_pods.engine.host.inotify import Change, Watcher

        with Watcher() as watcher:
            watcher.watch(self._lifecycle.layout(record).log_file, Change.MODIFIED)
            yield watcher

    def attach(self, record: ContainerRecord, *, stdin: int | None, stdout: int, stderr: int) -> Attachment:
        """Raises MonitorLostError if the container has ended."""
        from pytest_pods.engine.services.attachment import Attachment

        bundle = self._lifecycle.layout(record).bundle_dir
        return Attachment.open(bundle, stdin=stdin, stdout=stdout, stderr=stderr, tty=record.spec.tty)
