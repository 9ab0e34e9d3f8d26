"""``strongroom serve``: the composition root. One process, one event loop, two ports and a control socket.

    bind both ports → open the node (recovery) → answer → stop taking requests → finish those in flight → seal → end

Nothing connects before recovery is done. After a fatal error nobody is waited for long and nothing is sealed: what
became of the last writes is for the next start to find out (DESIGN §1).

Not handled here: the form of the log (``audit.log_lines``), and what a service manager does with the exit code.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import uvloop

from audit import __version__
from audit.api.app import make_app
from audit.config import Settings
from audit.control.server import ControlServer
from audit.errors import AuditError, ConfigInvalid, NotInitialised
from audit.hangup import Hangup
from audit.identity import Layout, load_identity
from audit.ingest.objects import Objects
from audit.ingest.receiving import Receiver
from audit.listener import Bound, Listener, bind
from audit.metrics.gather import Metrics
from audit.node import Node
from audit.own_objects import service_of
from audit.production.handing import Archives
from audit.reload import Reloader
from audit.tracing import Tracing, open_tracing
from audit.workers import Workers
from vault.errors import VaultError
from vault.s3.app import S3App

#: Exit code after a fatal error.
FATAL: Final = 3
#: Open files that the process may need beside its connections: packs, segments, blobs being read and written.
DESCRIPTORS: Final = 768
#: Seconds that requests in flight get after a fatal error: enough to be told that their outcome is unknown.
FATAL_STOP_S: Final = 2
#: Threads of the service beyond one a processor: some wait for the disk.
SPARE_THREADS: Final = 4
#: New objects after which cycles are looked for: as many as some hundred requests make.
GC_OBJECTS: Final = 20_000

_log: Final = logging.getLogger(__name__)


def serve(root: Path, read: Callable[[], Settings], ready: Callable[[str], None], config: Path | None = None) -> int:
    """Serve a vault until SIGTERM, SIGINT, the end of its terminal or a fatal error; SIGHUP reloads.

    Args:
        root: An initialised data directory.
        read: Reads the settings, now and for each reload.
        ready: Called with one line once requests are answered.
        config: The file that ``read`` reads, for workers.

    Returns:
        0 after a signal, :data:`FATAL` after a fatal error.

    Raises:
        ConfigInvalid: A port or a TLS file cannot be used.
        NotInitialised: There is no vault, or one that has nobody who may act.
        AuditError: The vault cannot be opened.
        VaultError: The vault cannot be opened.
    """
    settings = read()
    load_identity(Layout(root))  # a directory that is no vault is refused before anything else
    allow_connections(settings)
    with (
        closing(open_tracing(settings.trace.otlp_url)) as tracing,
        Hangup() as hangup,
        closing(bind("s3", settings.s3)) as s3,
        closing(bind("audit", settings.audit)) as audit,
    ):
        node = Node.open(root, settings)
        workers = Workers(settings, root, config)
        _require_somebody(node)
        code = FATAL
        try:
            with closing(node):
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    code = runner.run(_answer(node, s3, audit, ready, hangup, read, tracing, workers))
                hangup.catch()  # a terminal's end tells more than once, and the node is yet to be closed in order
        except* (AuditError, VaultError) as errors:
            code = FATAL
            _log.critical("the server stops: %s", "; ".join(map(str, errors.exceptions)))
    return code


def _require_somebody(node: Node) -> None:
    """Refuse a vault that an ``init`` left without its first principal: nobody could do anything with it.

    Raises:
        NotInitialised: It is one; the node is closed.
    """
    if not node.principals.all():
        node.close()
        root = node.layout.root
        raise NotInitialised(f"init of {root} was cut short: complete it with `strongroom init --data {root}`")


async def _answer(  # noqa: PLR0917 - all that a server is made of
    node: Node,
    s3: Bound,
    audit: Bound,
    ready: Callable[[str], None],
    hangup: Hangup,
    read: Callable[[], Settings],
    tracing: Tracing,
    workers: Workers,
) -> int:
    """Answer requests from the first to the last; the exit code."""
    settings = node.settings
    fatal = asyncio.Event()
    with ThreadPoolExecutor((os.cpu_count() or 1) + SPARE_THREADS, "service") as pool:
        service = service_of(node, pool)
        domains = [settings.s3.domain] if settings.s3.domain else []
        s3_app = S3App(service, region=settings.s3.region, domains=domains)
        metrics = Metrics(node, s3_app.tallies, service.windows)
        receiver = Receiver(service.core, Objects(service), node.stores.log.max_payload)
        audit_app = make_app(node, service.windows.count, receiver, metrics, archives=Archives(service))
        listeners = [
            Listener(tracing.around(s3_app, "s3"), s3, settings.limits),
            Listener(tracing.around(audit_app, "audit"), audit, settings.limits),
        ]
        named = dict(zip(("s3", "audit"), listeners, strict=True))
        metrics.listeners = named
        reloader = Reloader(settings, named, read=read, allow=allow_connections, commit=node.commit)
        node.notices = lambda: [*reloader.notices(), *workers.notices()]
        control = ControlServer(node, node.layout.socket)
        await control.start()
        try:
            async with asyncio.TaskGroup() as running:
                counting = running.create_task(service.windows.run())
                answering = [running.create_task(listener.run_until_stopped()) for listener in listeners]
                stop = _stop_when_told(node, listeners, fatal)
                _take_hangups(hangup, listeners, stop, lambda: running.create_task(reloader.reload()))
                for listener in listeners:
                    await listener.ready.wait()
                gc.freeze()  # what is here now stays: looking for cycles in it would cost for nothing, and late answers
                gc.set_threshold(GC_OBJECTS)
                ready(f"strongroom {__version__} is ready: S3 on {s3.url}, audit on {audit.url}")
                node.scrub.keep()
                workers.start()
                await asyncio.wait(answering)
                counting.cancel()
            if not fatal.is_set():
                await service.windows.close_due(everything=True)
        finally:
            await asyncio.to_thread(workers.stop)
            await control.stop()
            await service.core.commits.drained()
    return FATAL if fatal.is_set() else 0


def allow_connections(settings: Settings) -> None:
    """Let this process have as many descriptors as it may, and at least as many as its connections and files can take.

    Raises:
        ConfigInvalid: It may not.
    """
    wanted = DESCRIPTORS + 2 * settings.limits.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigInvalid(
            f"{wanted} open files may be needed and {hard} are allowed: raise the limit (ulimit -n, LimitNOFILE), "
            "or lower limits.connections"
        )
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _take_hangups(
    hangup: Hangup, listeners: Sequence[Listener], stop: Callable[[], None], reload: Callable[[], object]
) -> None:
    """Have SIGHUP stop or reload, also one that came while the vault was opened."""

    def hung_up() -> None:
        if any(listener.should_exit for listener in listeners):
            return
        if hangup.stops():
            stop()
        else:
            reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)
    if hangup.came:
        hung_up()


def _stop_when_told(node: Node, listeners: Sequence[Listener], fatal: asyncio.Event) -> Callable[[], None]:
    """Have a signal or a fatal error stop the listeners; what does so is returned."""
    loop = asyncio.get_running_loop()

    def stop(within_s: int | None = None) -> None:
        for listener in listeners:
            listener.stop(within_s)

    def stop_for_error() -> None:
        fatal.set()
        stop(FATAL_STOP_S)

    def tell(_: Exception) -> None:  # from whichever thread of the node it is
        loop.call_soon_threadsafe(stop_for_error)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    node.on_fatal = tell
    if node.failed:  # it failed before it could tell us
        stop_for_error()
    return stop
