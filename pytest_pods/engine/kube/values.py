"""YAML as a tree of values that know where they stand, so that every mistake is told with file, line and field.

Documents are as hostile as any input: nothing is constructed but texts, numbers, lists and mappings, and aliases count
as often as they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

from pytest_pods.engine.errors import InvalidInputError, KubeDocumentError
from pytest_pods.engine.specs.values import did_you_mean
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    import yaml

_MOST_BYTES = 4 << 20
_MOST_VALUES = 50_000
_MOST_DEPTH = 64

_Parsed = TypeVar("_Parsed")
Content: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"


@dataclass(slots=True)
class Source:
    """A file, or what takes its place in messages, and what is to be said about what was read of it."""

    name: str
    warnings: list[str] = field(default_factory=list)


@frozen
class Value:
    """What stands at one place of a document; `path` is the field's, `raw` the text of a scalar as it was written."""

    content: Content
    source: Source
    line: int
    path: str = ""
    raw: str = ""

    def fail(self, problem: str, *, hint: str | None = None) -> NoReturn:
        """Raises KubeDocumentError about this place."""
        raise KubeDocumentError(f"{self._where()} {problem}", hint=hint)

    def warn(self, text: str) -> None:
        """Something that has no effect here, which people should know."""
        self.source.warnings.append(f"{self._where()} {text}")

    def _where(self) -> str:
        return f"{self.source.name}:{self.line}:{f' {self.path}' if self.path else ''}"

    def text(self) -> str:
        """Raises KubeDocumentError if it is none, or has a NUL byte in it."""
        if not isinstance(self.content, str):
            written = f", not {self.raw}" if self.raw else ""
            hint = f'write "{self.raw}"' if self.raw and not isinstance(self.content, list | dict) else None
            self.fail(f"has to be a text{written}", hint=hint)
        if "\0" in self.content:
            self.fail("must not contain a NUL byte")
        return self.content

    def parsed(self, parse: Callable[[str, object], _Parsed]) -> _Parsed:
        """The text as one of `specs.values` reads it."""
        return self.checked(lambda: parse(self.path.rpartition(".")[2], self.text()))

    def checked(self, build: Callable[[], _Parsed]) -> _Parsed:
        """What `build` makes; what it refuses is told of this place."""
        try:
            return build()
        except KubeDocumentError:
            raise
        except InvalidInputError as error:
            raise KubeDocumentError(f"{self._where()} {error.brief}", details=error.details, hint=error.hint) from error

    def choice(self, *choices: str) -> str:
        text = self.text()
        if text not in choices:
            self.fail(f"is {text!r}", hint=f"it is one of {', '.join(choices)}")
        return text

    def number(self, *, least: int = 0, most: int = 1 << 31) -> int:
        """A whole number."""
        if isinstance(self.content, bool) or not isinstance(self.content, int):
            self.fail("has to be a whole number")
        if not least <= self.content <= most:
            self.fail(f"is {self.content}: it has to be from {least} to {most}")
        return self.content

    def flag(self) -> bool:
        if not isinstance(self.content, bool):
            self.fail("has to be true or false")
        return self.content

    def list(self) -> list[Value]:
        if not isinstance(self.content, list):
            self.fail("has to be a list")
        return self.content

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.list())

    def mapping(self) -> Mapping[str, Value]:
        if not isinstance(self.content, dict):
            self.fail("has to be a mapping")
        return self.content

    def text_mapping(self) -> dict[str, str]:
        return {key: value.text() for key, value in self.mapping().items()}

    def fields(self) -> Fields:
        return Fields(self)


class Fields:
    """The fields of a mapping, each asked for by name; `finish` refuses what nobody has asked for."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self._entries = value.mapping()
        self._known: set[str] = set()

    def find(self, name: str) -> Value | None:
        """None if it is not there, or null."""
        self._known.add(name)
        found = self._entries.get(name)
        return None if found is None or found.content is None else found

    def get(self, name: str) -> Value:
        """Raises KubeDocumentError if it is not there."""
        found = self.find(name)
        if found is None:
            self.value.fail(f"has no {name!r}")
        return found

    def list(self, name: str) -> list[Value]:
        """Empty if it is not there."""
        found = self.find(name)
        return [] if found is None else found.list()

    def flag(self, name: str) -> bool | None:
        found = self.find(name)
        return None if found is None else found.flag()

    def text(self, name: str) -> str | None:
        found = self.find(name)
        return None if found is None else found.text()

    def warn_of(self, reasons: Mapping[str, str]) -> None:
        """Fields that have no effect here, and why."""
        for name, reason in reasons.items():
            found = self.find(name)
            if found is not None:
                found.warn(reason)

    def finish(self, *, ignored: frozenset[str] = frozenset()) -> None:
        """Raises KubeDocumentError for the first field that is unknown."""
        known = self._known | ignored
        for name, value in self._entries.items():
            if name not in known:
                value.fail("is not known here", hint=did_you_mean(name, known))


def read_values(content: bytes, *, source: Source) -> list[Value]:
    """The documents of a file, empty ones left out. Raises KubeDocumentError that names the line."""
    if len(content) > _MOST_BYTES:
        raise KubeDocumentError(f"{source.name}: it has more than {_MOST_BYTES >> 20} MiB")
    # Slow to import, and few suites read such documents.
    import yaml

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise KubeDocumentError(f"{source.name}:{line}: it is not UTF-8") from error
    try:
        # The loader in C would overflow its stack where this one raises RecursionError.
        loader = yaml.SafeLoader(text)
        try:
            return [*_Reader(loader, source).read()]
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _translate(error, text, source) from error
    except RecursionError:
        raise KubeDocumentError(f"{source.name}: lists and mappings are nested too deeply") from None


def _translate(error: yaml.YAMLError, text: str, source: Source) -> KubeDocumentError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    line = (mark.line if mark is not None else text.count("\n", 0, getattr(error, "position", 0))) + 1
    hint = "indent with spaces, YAML allows no tabs" if "'\\t'" in problem else None
    return KubeDocumentError(f"{source.name}:{line}: it is not YAML: {problem}", hint=hint)


_PREFIX = "tag:yaml.org,2002:"
_TEXTS = ("str", "timestamp", "value")
_OTHERS = ("int", "float", "bool", "null")


class _Reader:
    """Turns the nodes of one file into values."""

    def __init__(self, loader: yaml.SafeLoader, source: Source) -> None:
        self._loader = loader
        self._source = source
        self._left = _MOST_VALUES

    def read(self) -> Iterator[Value]:
        while self._loader.check_node():
            node = self._loader.get_node()
            value = self._convert(node, "", 0)
            if value.content is not None:
                yield value

    def _convert(self, node: Any, path: str, depth: int) -> Value:
        self._left -= 1
        place = Value(None, self._source, node.start_mark.line + 1, path)
        if self._left < 0:
            place.fail(f"is beyond {_MOST_VALUES} values", hint="aliases count as often as they are used")
        if depth > _MOST_DEPTH:
            place.fail("is nested too deeply", hint="an alias may stand within what it stands for")
        content: Content
        if node.id == "sequence":
            self._refuse_tag(node, place, "seq")
            content = [self._convert(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(node.value)]
        elif node.id == "mapping":
            self._refuse_tag(node, place, "map")
            content = self._convert_mapping(node, path, depth)
        else:
            return self._convert_scalar(node, place)
        return Value(content, self._source, place.line, path)

    def _convert_mapping(self, node: Any, path: str, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        merged: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = Value(None, self._source, key_node.start_mark.line + 1, path)
            if key_node.tag == f"{_PREFIX}merge":
                merged = {**self._merge(value_node, path, depth), **merged}
                continue
            if key_node.id != "scalar":
                key.fail("has a key that is no text")
            name = _join_surrogates(key_node.value, key)
            if name in found:
                key.fail(f"has {name!r} twice")
            value = self._convert(value_node, f"{path}.{name}" if path else name, depth + 1)
            # The line of the key is where people look.
            found[name] = Value(value.content, self._source, key.line, value.path, value.raw)
        return {**merged, **found}

    def _merge(self, node: Any, path: str, depth: int) -> dict[str, Value]:
        nodes = node.value if node.id == "sequence" else [node]
        merged: dict[str, Value] = {}
        for one in reversed(nodes):
            merged |= self._convert(one, path, depth + 1).mapping()
        return merged

    def _convert_scalar(self, node: Any, place: Value) -> Value:
        kind, text = node.tag.removeprefix(_PREFIX), _join_surrogates(node.value, place)
        if node.tag.startswith(_PREFIX) and kind in _TEXTS:
            content: Content = text
        elif node.tag.startswith(_PREFIX) and kind in _OTHERS:
            try:
                content = self._loader.construct_object(node)
            except (ValueError, KeyError):
                place.fail(f"is no {kind}: {node.value[:40]!r}")
        else:
            self._refuse_tag(node, place, "str")
            content = text
        return Value(content, place.source, place.line, place.path, text)

    def _refuse_tag(self, node: Any, place: Value, expected: str) -> None:
        if node.tag != f"{_PREFIX}{expected}":
            place.fail(f"has the tag {node.tag!r}, which is not read")


def _join_surrogates(text: str, place: Value) -> str:
    """JSON, which is YAML as well, writes a character beyond the first 65,536 as two escapes, which YAML leaves apart.

    Raises KubeDocumentError for half a one."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        place.fail("has half a character in it")
