"""Apache Kafka for tests, benches and demos: real brokers on loopback, without containers.

    python -m compose.lab.kafka start                      a broker on 127.0.0.1:19092
    python -m compose.lab.kafka start 19192 19292 19392    three that are one cluster
    python -m compose.lab.kafka crash 19292                SIGKILL; what it holds stays, and that start brings it back
    python -m compose.lab.kafka stop|status|wipe [PORT …]  all that there are, where none is named

The jars come from Maven Central by name and version (``kafka.xml``) once, into a cache; Java 17 and Maven must be
there. A broker's controller listens on its port + 10000. Records have as many replicas as a cluster of that size
allows, up to three, and are acknowledged by two of these. A cluster's brokers are those that were first started
together.

Nothing here is fit to hold what matters: anybody on this machine may read, write and delete.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 19_092
#: From a broker's port to its controller's.
CONTROLLER: Final = 10_000
#: How long a broker may take to answer, and to end, in seconds: after a kill it first reads its log.
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0

_HERE: Final = Path(__file__).parent
_STEP_SECONDS: Final = 0.1
#: An ApiVersions request (version 0, correlation id 7), and how its answer goes on after its length: the id, no error.
_ASK: Final = bytes.fromhex("0000000a0012000000000007ffff")
_ANSWER: Final = bytes.fromhex("000000070000")
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_JAVA: Final = ("-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
#: For a broker of some minutes: the second compiler takes as much processor time as all else of a start.
_BRIEF: Final = "-XX:TieredStopAtLevel=1"


class LabFailed(Exception):
    """A broker could not be fetched, started or stopped; says why, and where its log is."""


class Broker:
    """One broker. Its directory holds its properties, its data, ``broker.log`` and the number of its process.

    Args:
        home: Of all brokers; this one's is below, named by its port.
        port: Where it listens.
        brief: It is soon up and done, as in a test; else it is made to be fast.
    """

    def __init__(self, home: Path, port: int, *, brief: bool = False) -> None:
        self.port = port
        self._java = (*_JAVA, _BRIEF) if brief else _JAVA
        self.address = f"{HOST}:{port}"
        self.directory = home / str(port)
        self.log = self.directory / "broker.log"
        self._properties = self.directory / "server.properties"
        self._process = self.directory / "pid"

    @property
    def pid(self) -> int:
        """Of its process; 0 where it does not run."""
        try:
            pid, began = map(int, self._process.read_text().split())
        except (OSError, ValueError):
            return 0
        return pid if began == _began(pid) else 0

    def form(self, cluster: str, ports: Sequence[int], settings: Mapping[str, str]) -> None:
        """Make it a member of a new cluster; nothing happens where it is one already.

        Args:
            cluster: The cluster's id, 22 characters of URL-safe base64.
            ports: Of all its brokers.
            settings: Kafka's own, on top of the lab's.

        Raises:
            LabFailed: It is a member of another one, or Kafka refused.
        """
        voters = ",".join(f"{number}@{HOST}:{port + CONTROLLER}" for number, port in enumerate(ports, 1))
        if self._properties.exists():
            if f"controller.quorum.voters={voters}\n" not in self._properties.read_text():
                raise LabFailed(f"broker {self.port} is of another cluster: wipe it first, or start those of its own")
            return
        shutil.rmtree(self.directory, ignore_errors=True)  # of an attempt that was cut short
        self.directory.mkdir(mode=0o700, parents=True)
        said = {**_settings(len(ports)), **settings}
        said |= {
            "node.id": str(ports.index(self.port) + 1),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{HOST}:{self.port + CONTROLLER}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": str(self.directory / "data"),
        }
        unfinished = self.directory / "unfinished.properties"
        unfinished.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
        tool("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(unfinished))
        shutil.copy(unfinished, self._properties)

    def begin(self) -> None:
        """Start its process, unless it runs; see :meth:`wait`.

        Raises:
            LabFailed: Another program listens on its port.
        """
        if self.pid:
            return
        if self.answers():
            raise LabFailed(f"port {self.port} is another program's")
        command = [
            "java",
            *self._java,
            f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}",
            "-cp",
            f"{install()}/*",
        ]
        pid = os.posix_spawnp(
            "java",
            [*command, "kafka.Kafka", str(self._properties)],
            os.environ,
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
            setsid=True,  # it outlives whoever started it
        )
        self._process.write_text(f"{pid} {_began(pid)}")

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            LabFailed: It ended, or does not answer in :data:`START_SECONDS`.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if not self.pid or time.monotonic() > deadline:
                lines = [line for line in self.log.read_text(errors="replace").splitlines() if line[:1] != "\t"]
                raise LabFailed(f"broker {self.port} does not answer; {self.log} ends in: {' / '.join(lines[-5:])}")
            time.sleep(_STEP_SECONDS)

    def answers(self) -> bool:
        """Whether a broker answers on its port; of one that speaks TLS, whether it takes connections."""
        try:
            with socket.create_connection((HOST, self.port), timeout=2) as connection:
                if self._properties.exists() and "PLAINTEXT:SSL" in self._properties.read_text():
                    return True
                connection.sendall(_ASK)
                answer = connection.recv(10, socket.MSG_WAITALL)
        except OSError:
            return False
        return answer[4:] == _ANSWER

    def stop(self) -> None:
        """End it in order: it hands over what it leads, and closes its log."""
        self._end(signal.SIGTERM)

    def crash(self) -> None:
        """Kill it; what it holds stays."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Have it stand still, as a machine that hangs does; :meth:`go_on` ends that."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """See :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Kill it and remove all that it holds."""
        self.crash()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, sign: signal.Signals) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        self._signal(sign)
        self._signal(signal.SIGCONT)  # one that was paused hears nothing else
        while self.pid:
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
            time.sleep(_STEP_SECONDS)
        self._process.unlink(missing_ok=True)

    def _signal(self, sign: signal.Signals) -> None:
        """Nothing where it does not run: number 0 would mean whoever asks."""
        if pid := self.pid:
            os.kill(pid, sign)


def start(
    home: Path, ports: Sequence[int], settings: Mapping[str, str] | None = None, *, brief: bool = False
) -> list[Broker]:
    """Start brokers, which are one cluster, and wait until they answer.

    Args:
        home: Directory of brokers; made.
        ports: Of each.
        settings: Kafka's own, on top of the lab's; they count when the cluster is made.
        brief: See :class:`Broker`.

    Raises:
        LabFailed: One could not be made or does not answer.
    """
    members = [Broker(home, port, brief=brief) for port in ports]
    cluster = secrets.token_urlsafe(16).replace("-", "A")  # an option of Kafka's tool must not begin with a dash
    for broker in members:
        broker.form(cluster, ports, settings or {})
    for broker in members:
        broker.begin()
    for broker in members:
        broker.wait()
    return members


def tool(name: str, *arguments: str) -> str:
    """Run one of Kafka's own tools; what it says.

    Raises:
        LabFailed: It failed.
    """
    command = [
        "java",
        "-Xmx128m",
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}",
    ]
    done = subprocess.run(
        [*command, "-cp", f"{install()}/*", name, *arguments],
        capture_output=True, text=True, check=False, timeout=START_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise LabFailed(f"{name} failed: {(done.stderr or done.stdout)[:500]}")
    return done.stdout


def install() -> Path:
    """Fetch the jars, unless they are there; safe beside others who do the same.

    Returns:
        The directory with all of them.

    Raises:
        LabFailed: Java or Maven is missing, or Maven could not fetch them.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise LabFailed(f"{program} is not there: install Debian's default-jdk-headless and maven")
    pom = _HERE / "kafka.xml"
    place = cache() / f"kafka-{sha256(pom.read_bytes()).hexdigest()[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            done = subprocess.run(
                ["mvn", "-B", "-q", "-C", "-f", pom, _COPY, "-DincludeScope=runtime", f"-DoutputDirectory={place}/lib"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise LabFailed(f"Maven could not fetch Kafka: {(done.stdout + done.stderr)[-500:]}")
            (place / "complete").touch()
    return place / "lib"


def brokers() -> Path:
    """Where the command line's brokers are."""
    return cache() / "brokers"


def cache() -> Path:
    """Where jars go: ``$XDG_CACHE_HOME/strongroom-lab``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strongroom-lab"


def _settings(size: int) -> dict[str, str]:
    """What a cluster of so many brokers is set up with; short sessions, so that a killed one comes back soon."""
    replicas, acknowledged = str(min(size, 3)), str(min(size, 2))
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": acknowledged,
        "unclean.leader.election.enable": "false",
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": acknowledged,
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": acknowledged,
        "group.initial.rebalance.delay.ms": "0",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
    }


def _began(pid: int) -> int:
    """When a process began, in clock ticks since the machine did; 0 where it is over: a number is used again."""
    with suppress(ChildProcessError):  # only its parent can take its end
        os.waitpid(pid, os.WNOHANG)
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state == "Z" else int(rest[18])


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m compose.lab.kafka", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("install", "start", "stop", "crash", "status", "wipe"))
    parser.add_argument("port", type=int, nargs="*", help=f"start: default {DEFAULT_PORT}; else all")
    options = parser.parse_args()
    home = brokers()
    there = sorted(int(path.name) for path in home.glob("[0-9]*"))
    try:
        if options.action == "install":
            print(install())
        elif options.action == "start":
            print(",".join(broker.address for broker in start(home, options.port or [DEFAULT_PORT])))
        else:
            for broker in (Broker(home, port) for port in options.port or there):
                if options.action == "status":
                    print(broker.address, f"runs as {broker.pid}" if broker.pid else "does not run")
                else:
                    getattr(broker, options.action)()
    except LabFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
