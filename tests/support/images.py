"""Small images for tests, made in memory: layers from a table of files, manifests of both kinds, indexes, archives.

What is made here is exact (the same input gives the same bytes) and may be wrong on purpose: names are not checked, so
that hostile layers can be made as well.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pytest_pods.engine.oci.descriptor import Descriptor, Platform
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Compression,
    Index,
    Manifest,
    build_index_document,
    build_manifest_document,
)
from pytest_pods.engine.oci.platforms import host_platform, parse_platform

if TYPE_CHECKING:
    from pytest_pods.engine.oci.reference import Reference
    from pytest_pods.engine.registry.client import RegistryClient

Kind = Literal["oci", "docker"]
MTIME_S = 1_600_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer; use the functions below to make it."""

    type: bytes = tarfile.REGTYPE
    content: bytes = b""
    target: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = MTIME_S
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, str] = field(default_factory=dict)


def file(content: bytes | str = b"", *, mode: int = 0o644, **rest: Any) -> Entry:
    return Entry(content=content.encode() if isinstance(content, str) else content, mode=mode, **rest)


def directory(*, mode: int = 0o755, **rest: Any) -> Entry:
    return Entry(tarfile.DIRTYPE, mode=mode, **rest)


def symlink(target: str, **rest: Any) -> Entry:
    return Entry(tarfile.SYMTYPE, target=target, mode=0o777, **rest)


def hardlink(target: str, **rest: Any) -> Entry:
    return Entry(tarfile.LNKTYPE, target=target, **rest)


def fifo(*, mode: int = 0o644, **rest: Any) -> Entry:
    return Entry(tarfile.FIFOTYPE, mode=mode, **rest)


def character_device(major: int, minor: int, *, mode: int = 0o666, **rest: Any) -> Entry:
    return Entry(tarfile.CHRTYPE, device=(major, minor), mode=mode, **rest)


def block_device(major: int, minor: int, *, mode: int = 0o660, **rest: Any) -> Entry:
    return Entry(tarfile.BLKTYPE, device=(major, minor), mode=mode, **rest)


Files: TypeAlias = Mapping[str, Entry | bytes | str] | Sequence[tuple[str, Entry | bytes | str]]
"""Names → content or entry, in this order; a name with a trailing slash is a directory. Pairs allow a name twice."""


def build_tar(files: Files, *, format: int = tarfile.PAX_FORMAT) -> bytes:
    """The uncompressed tar of `files`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, value in files.items() if isinstance(files, Mapping) else files:
            entry = value if isinstance(value, Entry) else directory() if name.endswith("/") else file(value)
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = entry.type, entry.target, entry.mode
            member.uid, member.gid, member.mtime = entry.uid, entry.gid, entry.mtime
            member.devmajor, member.devminor = entry.device
            member.size = len(entry.content)
            member.pax_headers = {f"SCHILY.xattr.{key}": text for key, text in entry.xattrs.items()}
            archive.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def compress(content: bytes, compression: Compression, *, level: int | None = None) -> bytes:
    """`content` in a form that registries carry."""
    if compression == "plain":
        return content
    if compression == "gzip":
        return gzip.compress(content, compresslevel=6 if level is None else level, mtime=0)
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.compress(content, level=level)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as the registry has it (`blob`), and the digest of what it unpacks to."""

    blob: bytes
    diff_id: Digest
    descriptor: Descriptor


def build_layer(
    files: Files | bytes, *, compression: Compression = "gzip", kind: Kind = "oci", level: int | None = None
) -> Layer:
    """A layer of `files`, or of a ready (possibly broken) tar."""
    tar = files if isinstance(files, bytes) else build_tar(files)
    blob = compress(tar, compression, level=level)
    base, separator = (OCI_LAYER, "+") if kind == "oci" else (DOCKER_LAYER, ".")
    media_type = base if compression == "plain" else f"{base}{separator}{compression}"
    return Layer(blob, Digest.of_bytes(tar), Descriptor(media_type, Digest.of_bytes(blob), len(blob)))


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image for one platform: all its documents and blobs."""

    media_type: str
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]
    platform: Platform

    @property
    def digest(self) -> Digest:
        """Of the manifest."""
        return Digest.of_bytes(self.manifest)

    @property
    def image_id(self) -> Digest:
        """Digest of the config."""
        return Digest.of_bytes(self.config)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.manifest), self.platform)

    @property
    def config_descriptor(self) -> Descriptor:
        media_type = OCI_CONFIG if self.media_type == OCI_MANIFEST else DOCKER_CONFIG
        return Descriptor(media_type, self.image_id, len(self.config))

    def blobs(self) -> dict[Digest, bytes]:
        """Config and layers; without the manifest."""
        return {self.image_id: self.config, **{layer.descriptor.digest: layer.blob for layer in self.layers}}

    def push(self, client: RegistryClient, reference: Reference | str) -> Digest:
        """Pushes everything; returns the manifest's digest."""
        reference = _parse(reference)
        for layer in self.layers:
            client.push_blob(reference, layer.descriptor, [layer.blob])
        client.push_blob(reference, self.config_descriptor, [self.config])
        client.push_manifest(reference, self.manifest, media_type=self.media_type)
        return self.digest

    def write_oci_archive(self, path: Path, *, name: str | None = None, compression: Compression = "plain") -> Path:
        """An oci-archive, as `podman save --format oci-archive` makes it; `name` becomes the reference's annotation."""
        return _write_oci_archive(path, [self], self.descriptor, name=name, compression=compression)

    def write_docker_archive(
        self, path: Path, *, names: Sequence[str] = (), compression: Compression = "plain"
    ) -> Path:
        """A docker-archive, as `docker save` makes it: layers are plain tars."""
        layers: dict[str, bytes] = {}
        paths = []
        for layer in self.layers:
            file_name = f"{layer.diff_id.hex}/layer.tar"
            layers[file_name] = _decompress(layer)
            paths.append(file_name)
        config = f"{self.image_id.hex}.json"
        listing = json.dumps([{"Config": config, "RepoTags": list(names) or None, "Layers": paths}]).encode()
        files = {**layers, config: self.config, "manifest.json": listing}
        path.write_bytes(compress(build_tar(files), compression))
        return path


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """Images of one name for several platforms."""

    media_type: str
    content: bytes
    images: tuple[BuiltImage, ...]

    @property
    def digest(self) -> Digest:
        return Digest.of_bytes(self.content)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.content))

    def push(self, client: RegistryClient, reference: Reference | str) -> Digest:
        """Pushes the images by digest, then the index; returns its digest."""
        reference = _parse(reference)
        for image in self.images:
            image.push(client, reference.with_digest(image.digest))
        client.push_manifest(reference, self.content, media_type=self.media_type)
        return self.digest

    def write_oci_archive(self, path: Path, *, name: str | None = None, compression: Compression = "plain") -> Path:
        return _write_oci_archive(
            path, self.images, self.descriptor, name=name, compression=compression, extra={self.digest: self.content}
        )


def build_index(images: Iterable[BuiltImage], *, kind: Kind = "oci") -> BuiltIndex:
    """An index whose entries carry the images' platforms."""
    images = tuple(images)
    media_type = OCI_INDEX if kind == "oci" else DOCKER_INDEX
    content = build_index_document(Index(media_type, tuple(image.descriptor for image in images)))
    return BuiltIndex(media_type, content, images)


@dataclass(frozen=True, slots=True)
class ImageBuilder:
    """Collects layers and config; every method gives a new builder.

    `ImageBuilder().layer({"hello": "hi\\n"}).config(Cmd=["cat", "/hello"]).build()`
    """

    kind: Kind = "oci"
    platform: Platform | str = field(default_factory=host_platform)
    layers: tuple[Layer, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def layer(
        self, files: Files | bytes, *, compression: Compression = "gzip", level: int | None = None
    ) -> ImageBuilder:
        return self.add(build_layer(files, compression=compression, kind=self.kind, level=level))

    def add(self, *layers: Layer) -> ImageBuilder:
        """Layers that are there already, such as those of another image."""
        return replace(self, layers=self.layers + layers)

    def config(self, **settings: Any) -> ImageBuilder:
        """Fields of the config document's `config`: Env, Cmd, Entrypoint, User, WorkingDir, ExposedPorts, …"""
        return replace(self, settings={**self.settings, **settings})

    def build(self, *, diff_ids: Sequence[Digest] | None = None) -> BuiltImage:
        """The image; `diff_ids` other than the layers' make a wrong one."""
        platform = parse_platform(self.platform) if isinstance(self.platform, str) else self.platform
        ids = tuple(layer.diff_id for layer in self.layers) if diff_ids is None else diff_ids
        document = {
            "created": "2020-09-13T12:26:40Z",
            "architecture": platform.architecture,
            **({"variant": platform.variant} if platform.variant else {}),
            "os": platform.os,
            "config": dict(self.settings),
            "rootfs": {"type": "layers", "diff_ids": [str(one) for one in ids]},
            "history": [{"created_by": "test"} for _ in ids],
        }
        config = json.dumps(document).encode()
        media_type, config_type = (OCI_MANIFEST, OCI_CONFIG) if self.kind == "oci" else (DOCKER_MANIFEST, DOCKER_CONFIG)
        manifest = Manifest(
            media_type,
            Descriptor(config_type, Digest.of_bytes(config), len(config)),
            tuple(layer.descriptor for layer in self.layers),
            self.annotations,
        )
        return BuiltImage(media_type, build_manifest_document(manifest), config, self.layers, platform)


_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
tester:x:1000:1000:tester:/home/tester:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
_GROUP = """\
root:x:0:
daemon:x:1:
wheel:x:10:tester
tester:x:1000:
nogroup:x:65534:
"""


@functools.cache
def busybox_layer(*, compression: Compression = "gzip", kind: Kind = "oci") -> Layer:
    """The layer of `busybox_image`."""
    program = Path("/bin/busybox")
    if not program.exists():
        raise FileNotFoundError("/bin/busybox is missing: install busybox-static")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = {f"bin/{name}": symlink("busybox") for name in applets if name != "busybox"}
    return build_layer(
        {
            "bin/": directory(),
            "bin/busybox": file(program.read_bytes(), mode=0o755),
            **links,
            "dev/": directory(),
            "etc/": directory(),
            "etc/passwd": file(_PASSWD),
            "etc/group": file(_GROUP),
            "home/": directory(),
            "home/tester/": directory(uid=1000, gid=1000),
            "proc/": directory(mode=0o555),
            "root/": directory(mode=0o700),
            "run/": directory(),
            "sys/": directory(mode=0o555),
            "tmp/": directory(mode=0o1777),
            "usr/": directory(),
            "usr/bin/": directory(),
            "usr/bin/env": symlink("../../bin/busybox"),
            "var/": directory(),
            "var/tmp/": directory(mode=0o1777),
        },
        compression=compression,
        kind=kind,
        level=1,
    )


def busybox_builder(*, kind: Kind = "oci", compression: Compression = "gzip") -> ImageBuilder:
    """busybox with all its applets, users root, tester (1000) and nobody; add layers and config as you need."""
    builder = ImageBuilder(kind=kind).add(busybox_layer(compression=compression, kind=kind))
    return builder.config(Env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd=["sh"])


@functools.cache
def busybox_image(*, kind: Kind = "oci", compression: Compression = "gzip") -> BuiltImage:
    """A small image that runs: this machine's static busybox."""
    return busybox_builder(kind=kind, compression=compression).build()


def _parse(reference: Reference | str) -> Reference:
    from pytest_pods.engine.oci.reference import Reference

    return Reference.parse(reference) if isinstance(reference, str) else reference


def _decompress(layer: Layer) -> bytes:
    media_type = layer.descriptor.media_type
    if media_type.endswith("gzip"):
        return gzip.decompress(layer.blob)
    if media_type.endswith("zstd"):
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return zstd.decompress(layer.blob)
    return layer.blob


def _write_oci_archive(
    path: Path,
    images: Sequence[BuiltImage],
    top: Descriptor,
    *,
    name: str | None,
    compression: Compression,
    extra: Mapping[Digest, bytes] | None = None,
) -> Path:
    blobs: dict[Digest, bytes] = dict(extra or {})
    for image in images:
        blobs |= {image.digest: image.manifest, **image.blobs()}
    annotated = replace(top, annotations={"org.opencontainers.image.ref.name": name} if name else {})
    files: dict[str, Entry | bytes | str] = {"blobs/": b"", "blobs/sha256/": b""}
    files |= {f"blobs/{digest.algorithm}/{digest.hex}": content for digest, content in blobs.items()}
    files["index.json"] = build_index_document(Index(OCI_INDEX, (annotated,)))
    files["oci-layout"] = '{"imageLayoutVersion": "1.0.0"}'
    path.write_bytes(compress(build_tar(files), compression))
    return path
