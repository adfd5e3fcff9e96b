"""What containers reach and how they are reached: published ports, loopback, the way out, none and host."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import InvalidSpecError, NotFoundError, PortInUseError, SubnetInUseError
from pytest_pods.engine.network.sockets import parse_listening_ports
from pytest_pods.engine.network.uplink import GATEWAY, GATEWAY_6
from tests.support.fixtures_store import BUSYBOX
from tests.support.hello_service import serve_hello
from tests.support.images import busybox_builder


def get(container: Container, port: int, path: str = "/") -> bytes:
    connection = http.client.HTTPConnection(*container.address(port), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def serve(engine: Engine, listen: str, **options: object) -> Container:
    script = f"mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p {listen} -h /www"
    return engine.run(
        BUSYBOX, ["sh", "-c", script], ports=[80], wait=lambda container: 80 in container.listening(), **options
    )


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "127.0.0.1:80"])
@pytest.mark.parametrize("network", ["private", "none"])
def test_published_port_reaches_a_service_wherever_it_listens(engine: Engine, listen: str, network: str) -> None:
    container = serve(engine, listen, network=network)
    assert get(container, 80) == b"hello\n"


def test_port_of_a_container_that_serves_nothing_is_reset(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], ports=[80], network="none")
    with (
        pytest.raises(ConnectionError),
        socket.create_connection(container.address(80), timeout=10) as connection,
    ):
        connection.sendall(b"anybody?")
        if connection.recv(1) == b"":
            raise ConnectionResetError


def test_given_host_port_is_used_and_in_use_is_refused(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(number)):
            engine.run(BUSYBOX, ["sleep", "1000"], ports=[f"{number}:80"], network="none")
    container = engine.run(BUSYBOX, ["sleep", "1000"], ports=[f"{number}:80"], network="none")
    assert container.address(80) == ("127.0.0.1", number)
    assert [one.name for one in engine.containers()] == [container.name]


def test_port_is_free_again_after_removal(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], ports=[80], network="none")
    address = container.address(80)
    container.remove()
    with socket.create_server(address):
        pass


def test_unpublished_port_has_no_address_but_can_be_connected_to(engine: Engine) -> None:
    script = "mkdir -p /www; echo inside > /www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www"
    container = engine.run(
        BUSYBOX, ["sh", "-c", script], network="none", wait=lambda container: 8080 in container.listening()
    )
    with pytest.raises(NotFoundError, match="8080"):
        container.address(8080)
    with container.connect(8080, timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"inside\n")


def test_network_none_has_loopback_only(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    assert container.succeed("ls /sys/class/net") == "lo\n"
    assert "UP" in container.succeed("ip link show lo")
    assert container.ip == ""


def test_each_container_has_a_network_of_its_own(engine: Engine) -> None:
    first, second = (engine.run(BUSYBOX, ["sleep", "1000"], network="none") for _ in range(2))
    first.succeed("nc -l -p 5000 -e true & ")
    first.wait_until(lambda: 5000 in first.listening())
    assert 5000 not in second.listening()


def test_listening_ports_are_those_of_the_table_of_sockets(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    container.succeed("nc -ll -p 5000 -e true &", "httpd -p 127.0.0.1:5001", "httpd -p [::1]:5002")
    container.wait_until(lambda: len(container.listening()) == 3)
    # Neither end of a connection listens.
    container.succeed("sleep 1000 | nc 127.0.0.1 5001 &")
    assert container.listening() == {5000, 5001, 5002}
    tables = container.succeed("cat /proc/net/tcp"), container.succeed("cat /proc/net/tcp6")
    assert parse_listening_ports(*tables) == {5000, 5001, 5002}
    container.kill()
    container.wait()
    assert container.listening() == frozenset()


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from the test process\n")

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def service_of_the_host() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Hello) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_container_reaches_a_service_of_the_test_process(engine: Engine, service_of_the_host: int) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"])
    fetched = container.succeed(f"wget -q -O - http://host.containers.internal:{service_of_the_host}/")
    assert fetched == "from the test process\n"


def test_network_host_is_the_hosts_own(engine: Engine, service_of_the_host: int) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="host")
    fetched = container.succeed(f"wget -q -O - http://127.0.0.1:{service_of_the_host}/")
    assert fetched == "from the test process\n"


def test_network_none_reaches_nothing(engine: Engine, service_of_the_host: int) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    container.fail(f"wget -q -O - -T 1 http://10.86.0.2:{service_of_the_host}/")


OWN = "nameserver 192.0.2.77\n"


@pytest.fixture
def image_with_resolv_conf(engine: Engine, tmp_path: Path) -> str:
    name = "localhost/own-resolv:1"
    image = busybox_builder().layer({"etc/resolv.conf": OWN}).build()
    engine.load(image.write_docker_archive(tmp_path / "image.tar", names=[name]))
    return name


def test_image_keeps_its_resolv_conf_where_that_is_asked_for(engine: Engine, image_with_resolv_conf: str) -> None:
    network = engine.create_network("backend", internal=True)
    for options in ({"dns": "none"}, {"dns": ["none"], "networks": [network]}):
        container = engine.run(image_with_resolv_conf, ["sleep", "1000"], **options)
        assert container.read("/etc/resolv.conf").decode() == OWN
        assert container.inspect()["HostConfig"]["Dns"] == ["none"]
        assert "localhost" in container.read("/etc/hosts").decode()
    sharer = engine.run(image_with_resolv_conf, ["sleep", "1000"], network=f"container:{container.id}")
    assert sharer.read("/etc/resolv.conf").decode() == OWN
    other = engine.run(image_with_resolv_conf, ["sleep", "1000"])
    assert other.read("/etc/resolv.conf").decode() != OWN
    assert not engine.run(BUSYBOX, ["sleep", "1000"], dns="none").exists("/etc/resolv.conf")


def test_images_of_a_pod_keep_their_resolv_conf_also_those_of_later_members(
    engine: Engine, image_with_resolv_conf: str
) -> None:
    a = {"image": image_with_resolv_conf, "command": ["sleep", "1000"]}
    pod = engine.run_pod(name="shop", network="none", dns="none", a=a)
    late = engine.run(image_with_resolv_conf, ["sleep", "1000"], pod="shop")
    for member in (pod["a"], late):
        assert member.read("/etc/resolv.conf").decode() == OWN
    with pytest.raises(InvalidSpecError, match="its dns is the pod's"):
        engine.run_pod(network="none", a={**a, "dns": "none"})
    with pytest.raises(InvalidSpecError, match="dns of a member is that of pod shop"):
        engine.run(BUSYBOX, pod="shop", dns="none")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dns": ["none", "192.0.2.1"]}, "cannot be combined with name servers"),
        ({"dns": "none", "dns_search": ["shop.test"]}, "cannot be combined with dns_search"),
        ({"dns": "none", "dns_options": ["ndots:1"]}, "cannot be combined with dns_options"),
    ],
)
def test_what_is_asked_for_beside_the_images_resolv_conf_is_refused(
    engine: Engine, options: dict[str, object], told: str
) -> None:
    with pytest.raises(InvalidSpecError, match=told):
        engine.run(BUSYBOX, **options)


# IPv6 of the way out


def hear_6(container: Container, port: int) -> str:
    return container.exec(["sh", "-c", f"nc -w 5 {GATEWAY_6} {port} </dev/null"], timeout=20).stdout.strip()


def addresses_6(container: Container) -> list[str]:
    shown = container.succeed("ip -o -6 addr show dev eth0").splitlines()
    return [line.split()[3] for line in shown if "scope global" in line]


def test_way_out_leads_out_by_ipv6_as_well(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"])
    pod = engine.run_pod(a={"image": BUSYBOX, "command": ["sleep", "1000"]})
    with serve_hello("::1") as port:
        assert hear_6(container, port) == "hello"
        assert hear_6(pod["a"], port) == "hello"
    found = [addresses_6(one) for one in (container, pod["a"])]
    assert [len(ones) for ones in found] == [1, 1]
    assert found[0] != found[1]


def test_networks_with_ipv6_lead_out_by_it_unless_they_are_internal(engine: Engine) -> None:
    for name, options in (("dual", {}), ("inside", {"internal": True})):
        engine.create_network(name, ipv6=True, **options)
    with serve_hello("::1") as port:
        heard = [hear_6(engine.run(BUSYBOX, ["sleep", "1000"], networks=[name]), port) for name in ("dual", "inside")]
    assert heard == ["hello", ""]


def test_way_out_comes_before_networks_that_are_joined_in_both_families(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"])
    network = engine.create_network("side", ipv6=True)
    network.connect(container)
    for family, address, gateway in (("-4", "192.0.2.1", GATEWAY), ("-6", "2001:db8::1", GATEWAY_6)):
        assert f"via {gateway} dev eth0" in container.succeed(f"ip {family} route get {address}")
    container.reload_networks()
    with serve_hello("::1") as port:
        assert hear_6(container, port) == "hello"


def test_way_out_that_another_process_set_up_has_ipv6_too(image_store: Path) -> None:
    with Engine.open(root=image_store) as engine:
        engine.run(BUSYBOX, ["sleep", "1000"])
        engine.keep(60)
        other = Engine.attach(engine.session_id, root=image_store)
        try:
            with serve_hello("::1") as port:
                assert hear_6(other.run(BUSYBOX, ["sleep", "1000"]), port) == "hello"
        finally:
            other.end()


def test_subnet_of_the_way_out_is_no_networks(engine: Engine) -> None:
    with pytest.raises(SubnetInUseError, match="the session's way out"):
        engine.create_network("other", subnet="fd00::/64")
