"""Mounts that were asked for, as the runtime configuration has them. Pure."""

from __future__ import annotations

from pytest_pods.engine.oci.runtime_spec import Mount
from pytest_pods.engine.specs.mounts import BindMount, ImageMount, MountSpec, TmpfsMount, VolumeMount, normalize_target

_OPPOSITES = {"suid": "nosuid", "dev": "nodev", "exec": "noexec"}


def build_mount(mount: MountSpec, source: str | None = None) -> Mount:
    """`source` is where a volume's or an image's files are, or those of a part of a directory."""
    destination = normalize_target(mount.target)
    if isinstance(mount, TmpfsMount):
        return Mount(destination, "tmpfs", "tmpfs", _tmpfs_options(mount))
    if source is None:
        if not isinstance(mount, BindMount):
            raise ValueError(f"nobody has settled where the files of {mount} are")
        source = mount.source
    if isinstance(mount, ImageMount):
        options: tuple[str, ...] = ("bind", "rprivate", "nosuid", "nodev", "ro" if mount.read_only else "rw")
    else:
        options = _bind_options(mount)
    return Mount(destination, "bind", source, options)


def _bind_options(mount: BindMount | VolumeMount) -> tuple[str, ...]:
    kind = "bind" if isinstance(mount, BindMount) and not mount.recursive else "rbind"
    return (kind, mount.propagation, *_restrictions(mount.options), "ro" if mount.read_only else "rw")


def _restrictions(options: tuple[str, ...]) -> list[str]:
    """Set-user-id programs and devices work only where somebody asks for them; execution works unless somebody does."""
    restrictions = [negative for positive, negative in _OPPOSITES.items() if positive not in options]
    return [one for one in restrictions if one != "noexec" or "noexec" in options]


def _tmpfs_options(mount: TmpfsMount) -> tuple[str, ...]:
    given = set(mount.options)
    options = [negative for positive, negative in _OPPOSITES.items() if positive not in given]
    options += [option for option in mount.options if option in ("ro", "rw")]
    options.append(f"mode={mount.mode:o}")
    if mount.size is not None:
        options.append(f"size={mount.size}")
    return tuple(options)
