"""The names of everything on the disk, below the store's root and the run root; nobody else joins paths there.

Only names: nothing here makes, reads or removes a file.
"""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_pods.engine.errors import InvalidSettingError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_pods.engine.oci.digest import Digest

NamespaceKind = Literal["net", "ipc", "uts"]

VERSION = "1"
"""What the store's `version` file says; a store with another text was made by a release that we cannot read."""


@frozen(slots=False)
class LayerLayout:
    """One layer. `complete` is written last and removed first: without it nothing here means anything."""

    directory: Path

    @cached_property
    def diff_dir(self) -> Path:
        """The layer's files, as overlayfs wants them."""
        return self.directory / "diff"

    @cached_property
    def record_file(self) -> Path:
        """diff ID, size and number of entries."""
        return self.directory / "layer.json"

    @cached_property
    def entries_file(self) -> Path:
        """What was unpacked, compressed, one line an entry: for the check of the store."""
        return self.directory / "entries"

    @cached_property
    def complete_file(self) -> Path:
        """Says in which uptime of the machine the layer was written."""
        return self.directory / "complete"

    @cached_property
    def durable_file(self) -> Path:
        """Made once all of the layer is known to be on the disk."""
        return self.directory / "durable"


@frozen(slots=False)
class StagingLayout:
    """A place to fill before a rename. Its lock file lies beside it, so that the directory can be removed first."""

    directory: Path

    @cached_property
    def lock_file(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.lock")

    @cached_property
    def blob_file(self) -> Path:
        """The compressed bytes, until their digest is known to be right."""
        return self.directory / "blob"

    @cached_property
    def layer(self) -> LayerLayout:
        return LayerLayout(self.directory / "layer")

    @cached_property
    def volume(self) -> VolumeLayout:
        return VolumeLayout(self.directory / "volume")


@frozen(slots=False)
class VolumeLayout:
    """One volume. Its directory appears by a rename, with the record and `data` in it."""

    directory: Path

    @cached_property
    def record_file(self) -> Path:
        return self.directory / "volume.json"

    @cached_property
    def data_dir(self) -> Path:
        """What containers see."""
        return self.directory / "data"

    @cached_property
    def lock_file(self) -> Path:
        """Held while the volume is made ready for its first container."""
        return self.directory / "lock"

    @cached_property
    def filling_file(self) -> Path:
        """There while the volume is filled from an image, and after that was cut off."""
        return self.directory / "filling"

    @cached_property
    def used_file(self) -> Path:
        """There once a container has used the volume: what is in it is its own from then on."""
        return self.directory / "used"


@frozen(slots=False)
class VolumesLayout:
    """A place with volumes, by name."""

    directory: Path

    def volume(self, name: str) -> VolumeLayout:
        return VolumeLayout(self.directory / name)

    @cached_property
    def lock_file(self) -> Path:
        """Held while a volume is looked for and, if it is not there, made; and while one is removed."""
        return self.directory / ".lock"


class _SharedFiles:
    """What a container has of its own and a pod for its members: namespaces, files of /etc, interfaces."""

    __slots__ = ()
    directory: Path

    @cached_property
    def namespaces_dir(self) -> Path:
        return self.directory / "ns"

    def namespace(self, kind: NamespaceKind) -> Path:
        return self.namespaces_dir / kind

    @cached_property
    def files_dir(self) -> Path:
        """Files of ours that are bound into containers: hosts, hostname, resolv.conf."""
        return self.directory / "files"

    @cached_property
    def hosts_file(self) -> Path:
        return self.files_dir / "hosts"

    @cached_property
    def hostname_file(self) -> Path:
        return self.files_dir / "hostname"

    @cached_property
    def resolv_file(self) -> Path:
        return self.files_dir / "resolv.conf"

    @cached_property
    def interfaces_file(self) -> Path:
        """The named networks that it is on, and as what."""
        return self.directory / "interfaces.json"

    @cached_property
    def sharers_dir(self) -> Path:
        """One empty file for each container that is in the network beside its owner, named for its ID."""
        return self.directory / "sharers"

    @cached_property
    def closed_file(self) -> Path:
        """There once its owner is being removed: nobody comes into the network any more."""
        return self.directory / "closed"

    @cached_property
    def interfaces_lock(self) -> Path:
        """Held while it joins or leaves a network, and while others come into its own, or go."""
        return self.directory / "interfaces.lock"


@frozen(slots=False)
class ContainerLayout(_SharedFiles):
    """One container's files: the small ones in its session's directory, the big ones (`scratch`) in the store."""

    container_id: str
    directory: Path
    scratch_dir: Path

    @cached_property
    def record_file(self) -> Path:
        return self.directory / "record.json"

    @cached_property
    def bundle_dir(self) -> Path:
        """conmon's and runc's bundle; also conmon's working directory."""
        return self.directory / "bundle"

    @cached_property
    def config_file(self) -> Path:
        return self.bundle_dir / "config.json"

    @cached_property
    def attach_socket(self) -> Path:
        return self.bundle_dir / "attach"

    @cached_property
    def control_fifo(self) -> Path:
        """conmon's `ctl`: terminal size and log reopening."""
        return self.bundle_dir / "ctl"

    @cached_property
    def log_file(self) -> Path:
        return self.directory / "log"

    @cached_property
    def runtime_log_file(self) -> Path:
        """Where runc writes its own messages as JSON."""
        return self.directory / "runtime.log"

    @cached_property
    def exit_dir(self) -> Path:
        return self.directory / "exit"

    @cached_property
    def exit_file(self) -> Path:
        return self.exit_dir / self.container_id

    @cached_property
    def persist_dir(self) -> Path:
        """conmon's --persist-dir, where it notes that memory ran out."""
        return self.directory / "persist"

    @cached_property
    def oom_file(self) -> Path:
        return self.persist_dir / "oom"

    @cached_property
    def pid_file(self) -> Path:
        """The container pid, in the session's PID namespace."""
        return self.directory / "pidfile"

    @cached_property
    def monitor_pid_file(self) -> Path:
        return self.directory / "monitor-pidfile"

    @cached_property
    def started_file(self) -> Path:
        """Its time of change is when the container was started; absent before. Contains what its restart policy calls
        the start, nothing if somebody has started it."""
        return self.directory / "started"

    @cached_property
    def paused_file(self) -> Path:
        return self.directory / "paused"

    @cached_property
    def fault_file(self) -> Path:
        """Why a container ended that did not end by itself: its monitor was lost, say."""
        return self.directory / "fault"

    @cached_property
    def stopped_file(self) -> Path:
        """There once somebody has stopped it on purpose: its restart policy then lets it be."""
        return self.directory / "stopped"

    @cached_property
    def restarts_file(self) -> Path:
        """How often its restart policy has started it again, and how often of that soon after the time before; then
        what both are once there is a start that is called as said there."""
        return self.directory / "restarts"

    @cached_property
    def restart_lock(self) -> Path:
        """Held while its restart policy decides and starts it, and to wait for that."""
        return self.directory / "restart.lock"

    @cached_property
    def restart_asked_file(self) -> Path:
        """There when it was ended to be started again, because it was not well."""
        return self.directory / "restart-asked"

    @cached_property
    def health_file(self) -> Path:
        """What its health checks have found since a start."""
        return self.directory / "health.json"

    @cached_property
    def health_lock(self) -> Path:
        """Held to write that down; who removes the container removes it first."""
        return self.directory / "health.lock"

    @cached_property
    def client_lock_file(self) -> Path:
        """Held by a command line that has the container in the foreground and will remove it itself."""
        return self.directory / "client"

    @cached_property
    def exec_dir(self) -> Path:
        return self.directory / "exec"

    def exec_session(self, exec_id: str) -> Path:
        return self.exec_dir / exec_id

    @cached_property
    def merged_dir(self) -> Path:
        """Where the overlay is mounted, inside the sandbox only."""
        return self.directory / "merged"

    @cached_property
    def lower_links_dir(self) -> Path:
        """Short links to the layers, for kernels that take a long list of them in one page only."""
        return self.directory / "l"

    @cached_property
    def upper_dir(self) -> Path:
        return self.scratch_dir / "upper"

    @cached_property
    def work_dir(self) -> Path:
        return self.scratch_dir / "work"

    @cached_property
    def volumes(self) -> VolumesLayout:
        """Anonymous volumes, which go with the container."""
        return VolumesLayout(self.scratch_dir / "volumes")

    @cached_property
    def mounts_dir(self) -> Path:
        """Where the sandbox mounts what runc is to bind into the container: parts of volumes, images."""
        return self.directory / "mounts"

    def mount_point(self, number: int) -> Path:
        return self.mounts_dir / str(number)

    def image_mount_point(self, number: int) -> Path:
        """The whole image that a mount is of, or is a part of."""
        return self.mounts_dir / f"{number}.image"

    def image_scratch_dir(self, number: int) -> Path:
        """The upper and the work directory of a mounted image."""
        return self.scratch_dir / f"image-{number}"


@frozen(slots=False)
class NetworkLayout:
    """A network as it lives in one session: who has which address and name, and what netavark has set up."""

    directory: Path

    @cached_property
    def record_file(self) -> Path:
        """Which network this is, since it is set up, or half; it may be removed from those that there are by then."""
        return self.directory / "record.json"

    @cached_property
    def lock_file(self) -> Path:
        """Held while addresses are taken, and while the network is set up or torn down."""
        return self.directory / "lock"

    @cached_property
    def leases_dir(self) -> Path:
        """One file an address, with the ID of who has it."""
        return self.directory / "leases"

    @cached_property
    def last_lease_file(self) -> Path:
        """The address that was given last: the next ones follow it, so that none comes back soon."""
        return self.directory / "last-lease"

    @cached_property
    def names_file(self) -> Path:
        """Who is called what at which addresses; aardvark-dns is told."""
        return self.directory / "names"

    @cached_property
    def anchor_dir(self) -> Path:
        """The network namespace for which netavark has set the network up."""
        return self.directory / "anchor"

    @cached_property
    def spare_file(self) -> Path:
        """There while the network is nobody's, and kept for the next one that is asked for."""
        return self.directory / "spare"

    @cached_property
    def up_file(self) -> Path:
        """There once the network is set up; without it, what is found is half made."""
        return self.directory / "up"


@frozen(slots=False)
class PodLayout(_SharedFiles):
    """One pod's files: what its members share. The members themselves are containers of the session."""

    pod_id: str
    directory: Path
    scratch_dir: Path

    @cached_property
    def record_file(self) -> Path:
        return self.directory / "record.json"

    def volume(self, name: str) -> Path:
        """A directory that comes and goes with the pod; one in memory is mounted there, inside the sandbox only."""
        return self.scratch_dir / name

    @cached_property
    def shared_memory_dir(self) -> Path:
        """Where the members' /dev/shm is mounted, inside the sandbox only."""
        return self.directory / "shm"


@frozen(slots=False)
class SessionLayout:
    """One session's directory and its scratch in the store."""

    session_id: str
    directory: Path
    scratch_dir: Path

    @cached_property
    def lock_file(self) -> Path:
        """Held for as long as the session lives; a session whose lock can be taken is a left-over."""
        return self.directory / "lock"

    @cached_property
    def record_file(self) -> Path:
        return self.directory / "session.json"

    @cached_property
    def control_socket(self) -> Path:
        return self.directory / "control"

    @cached_property
    def things_dir(self) -> Path:
        """What several test processes share, a record and two locks each."""
        return self.directory / "things"

    @cached_property
    def users_dir(self) -> Path:
        """One file for each test process that works in a session which is not its own, locked by it: what it has
        made there for itself."""
        return self.directory / "users"

    @cached_property
    def staging_dir(self) -> Path:
        """Below the scratch: on the store's file system, and gone with the session."""
        return self.scratch_dir / "staging"

    @cached_property
    def volumes(self) -> VolumesLayout:
        """The session's own volumes, which go with it."""
        return VolumesLayout(self.scratch_dir / "volumes")

    @cached_property
    def log_file(self) -> Path:
        """What janitor and init say on stderr."""
        return self.directory / "sandbox.log"

    @cached_property
    def runtime_root(self) -> Path:
        """runc's --root."""
        return self.directory / "runtime"

    @cached_property
    def temporary_dir(self) -> Path:
        """TMPDIR of the programs that we start; short, because conmon binds a socket in it."""
        return self.directory / "tmp"

    @cached_property
    def uplink_file(self) -> Path:
        """The process that is the session's way out, and whether that is ready."""
        return self.directory / "uplink"

    @cached_property
    def network_namespace(self) -> Path:
        """Where the session's own network namespace is bound if no process number in it tells its path."""
        return self.directory / "netns"

    @cached_property
    def network_namespace_bound(self) -> Path:
        """There once `network_namespace` is bound: the file alone may be what a killed process left."""
        return self.directory / "netns.bound"

    @cached_property
    def uplink_lock(self) -> Path:
        """Held while the way out is set up: several processes may work in one session."""
        return self.directory / "uplink.lock"

    @cached_property
    def names_dir(self) -> Path:
        """One file for the name of a container or pod, made with O_EXCL, that contains its ID."""
        return self.directory / "names"

    @cached_property
    def leases_dir(self) -> Path:
        """One empty file for each place on the way out that is taken."""
        return self.directory / "leases"

    @cached_property
    def network_definitions_dir(self) -> Path:
        """Networks of a session that is not the command line's, one document each."""
        return self.directory / "networks"

    @cached_property
    def live_networks_dir(self) -> Path:
        return self.directory / "net"

    def network(self, network_id: str) -> NetworkLayout:
        return NetworkLayout(self.live_networks_dir / network_id)

    @cached_property
    def netavark_dir(self) -> Path:
        """netavark's --config."""
        return self.directory / "netavark"

    @cached_property
    def netavark_lock(self) -> Path:
        """Held while netavark runs: in one network namespace it does not bear another beside it."""
        return self.directory / "netavark.lock"

    @cached_property
    def name_server_dir(self) -> Path:
        """One directory an aardvark-dns, named for its port."""
        return self.directory / "dns"

    @cached_property
    def name_server_file(self) -> Path:
        """Which aardvark-dns answers, and which others there are."""
        return self.directory / "dns.json"

    @cached_property
    def name_server_lock(self) -> Path:
        """Held while names change."""
        return self.directory / "dns.lock"

    @cached_property
    def containers_dir(self) -> Path:
        return self.directory / "containers"

    def container(self, container_id: str) -> ContainerLayout:
        return _lay_out_container(self, container_id)

    @cached_property
    def pods_dir(self) -> Path:
        return self.directory / "pods"

    @cached_property
    def pod_scratch_dir(self) -> Path:
        """What pods keep for their members, each in a directory of its ID."""
        return self.scratch_dir / "pods"

    def pod(self, pod_id: str) -> PodLayout:
        return PodLayout(pod_id, self.pods_dir / pod_id, self.pod_scratch_dir / pod_id)


@lru_cache(maxsize=1024)
def _lay_out_container(session: SessionLayout, container_id: str) -> ContainerLayout:
    # Asked for dozens of times in a container's life.
    return ContainerLayout(
        container_id, session.containers_dir / container_id, session.scratch_dir / container_id
    )


@frozen(slots=False)
class StoreLayout:
    """A store: what outlives sessions below `root`, what does not outlive the machine's uptime below `run_root`."""

    root: Path
    run_root: Path
    session_staging_dir: Path | None = None
    """Where a session stages, so that what it leaves half-made goes with it; else there is a common place."""

    @classmethod
    def below(cls, directory: Path) -> StoreLayout:
        """A store that is wholly below one directory."""
        directory = directory.absolute()
        return cls(directory, directory / "run")

    @cached_property
    def version_file(self) -> Path:
        return self.root / "version"

    @cached_property
    def layout_file(self) -> Path:
        """The mark of an OCI image layout."""
        return self.root / "oci-layout"

    @cached_property
    def index_file(self) -> Path:
        """The OCI image layout's list of images, for other tools; we read `images_dir`."""
        return self.root / "index.json"

    @cached_property
    def blobs_dir(self) -> Path:
        return self.root / "blobs"

    def blob(self, digest: Digest) -> Path:
        return self.blobs_dir / digest.algorithm / digest.hex

    @cached_property
    def images_dir(self) -> Path:
        return self.root / "images"

    def image_record(self, key: str) -> Path:
        return self.images_dir / f"{key}.json"

    @cached_property
    def layers_dir(self) -> Path:
        return self.root / "layers"

    def layer(self, chain_id: Digest) -> LayerLayout:
        # The hex digits alone: overlayfs options treat a colon, and the lengths tell the algorithms apart.
        return LayerLayout(self.layers_dir / chain_id.hex)

    @cached_property
    def empty_dir(self) -> Path:
        """The lower directory of an image without layers: overlayfs wants at least one."""
        return self.root / "empty"

    @cached_property
    def staging_dir(self) -> Path:
        return self.session_staging_dir or self.common_staging_dir

    @cached_property
    def common_staging_dir(self) -> Path:
        return self.root / "staging"

    def staging(self, key: str) -> StagingLayout:
        return StagingLayout(self.staging_dir / key)

    @cached_property
    def scratch_dir(self) -> Path:
        return self.root / "scratch"

    @cached_property
    def snapshots_dir(self) -> Path:
        return self.root / "snapshots"

    @cached_property
    def volumes(self) -> VolumesLayout:
        """The command line's volumes, which stay."""
        return VolumesLayout(self.root / "volumes")

    @cached_property
    def networks_dir(self) -> Path:
        """Networks of the command line, one document each."""
        return self.root / "networks"

    @cached_property
    def filters_dir(self) -> Path:
        """Compiled seccomp filters, by what they were made from."""
        return self.root / "filters"

    @cached_property
    def locks_dir(self) -> Path:
        return self.root / "locks"

    @cached_property
    def images_lock(self) -> Path:
        """Shared: use images (make a container). Exclusive: change what there is."""
        return self.locks_dir / "images"

    def layer_lock(self, chain_id: Digest) -> Path:
        return self.locks_dir / f"layer-{chain_id.hex}"

    @cached_property
    def content_lock(self) -> Path:
        """Shared: add layers and blobs that no record leads to yet. Exclusive: remove those without a record."""
        return self.locks_dir / "content"

    def pull_lock(self, manifest: Digest) -> Path:
        return self.locks_dir / f"pull-{manifest.hex}"

    @cached_property
    def sweep_lock(self) -> Path:
        return self.locks_dir / "sweep"

    @cached_property
    def sessions_dir(self) -> Path:
        return self.run_root / "sessions"

    @cached_property
    def default_session_file(self) -> Path:
        """Names the command line's session."""
        return self.run_root / "command-line"

    @cached_property
    def reused_session_file(self) -> Path:
        """Names the session in which containers are kept for the next run of tests."""
        return self.run_root / "reused"

    def session(self, session_id: str) -> SessionLayout:
        return SessionLayout(session_id, self.sessions_dir / session_id, self.scratch_dir / session_id)


def build_store_layout(
    root: Path | None = None, *, environ: Mapping[str, str] | None = None, uid: int | None = None
) -> StoreLayout:
    """The store's places: below `root` or PYTEST_PODS_ROOT if given, else the usual directories of the user.

    Raises InvalidSettingError for a relative PYTEST_PODS_ROOT.
    """
    environ = os.environ if environ is None else environ
    uid = os.geteuid() if uid is None else uid
    if root is not None:
        return StoreLayout.below(root)
    if text := environ.get("PYTEST_PODS_ROOT"):
        if not Path(text).is_absolute():
            raise InvalidSettingError(f"PYTEST_PODS_ROOT={text!r} is not an absolute path")
        return StoreLayout.below(Path(text))
    if uid == 0:
        return StoreLayout(Path("/var/lib/pytest-pods"), Path("/run/pytest-pods"))
    data = _absolute(environ.get("XDG_DATA_HOME")) or Path(environ.get("HOME") or "~").expanduser() / ".local/share"
    runtime = _absolute(environ.get("XDG_RUNTIME_DIR"))
    return StoreLayout(data / "pytest-pods", runtime / "pytest-pods" if runtime else Path(f"/tmp/pytest-pods-{uid}"))


def _absolute(text: str | None) -> Path | None:
    # The XDG base directory specification: relative values are to be ignored.
    return Path(text) if text and Path(text).is_absolute() else None
