"""`port`: where the published ports of a container are reached."""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER [PORT[/PROTOCOL]]",
    least=1,
    most=2,
    examples=[("pytest-pods port web 80", "the address that leads to the container's port 80")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.errors import NotFoundError

    container = context.get_container(parsed.operands[0])[1]
    published = [(port.key, _join(port.host_ip, port.host_port)) for port in container.record.ports]
    if len(parsed.operands) == 1:
        for key, address in published:
            print_line(f"{key} -> {address}")
        return 0
    wanted = parsed.operands[1]
    key = wanted if "/" in wanted else f"{wanted}/tcp"
    found = [address for port, address in published if port == key]
    if not found:
        known = ", ".join(container.ports) or "none"
        raise NotFoundError(f"container {container.name} does not publish port {key} (published: {known})")
    for address in found:
        print_line(address)
    return 0


def _join(host: str, number: int) -> str:
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
