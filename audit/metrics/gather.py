"""All metrics of a server, read when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit import __version__
from audit.journal import tiers
from audit.metrics.page import Page
from audit.metrics.process import add_process
from vault.measures import Counts, Tallies
from vault.times import NS, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit.listener import Listener
    from audit.node import Node
    from audit.relaying.standing import Relaying
    from audit.status import NodeStatus, Work
    from vault.service.windows import Windows

#: What may be refused for want of disk, first to last.
_TIERS: Final = ("reads", "writes", "denials")


class Metrics:
    """What ``/metrics`` answers. Thread-safe.

    Args:
        node: Open.
        tallies: Requests of the S3 port.
        windows: Requests without a signature or token that counts.

    Attributes:
        listeners: By port; those that are there when it is asked.
        answers: Of the audit port, by status class.
    """

    def __init__(self, node: Node, tallies: Tallies | None = None, windows: Windows | None = None) -> None:
        self.listeners: Mapping[str, Listener] = {}
        self.answers = Counts()
        self._node = node
        self._tallies = Tallies() if tallies is None else tallies
        self._windows = windows

    def text(self) -> str:
        """Read everything; takes no lock that a request waits for."""
        node, page = self._node, Page("strongroom", stream=self._node.identity.stream)
        status, work = node.status(), node.work()
        page.gauge("info", "Software version.", ({"version": __version__}, 1))
        _add_state(page, status, node.settings.disk.reserve_mib << 20)
        self._add_requests(page)
        self._add_ports(page)
        self._add_commits(page)
        _add_work(page, work)
        settled = node.stores.settled.end
        page.gauge("settle_debt_records", "Durable records not settled.", ({}, max(status.durable - settled, 0)))
        page.gauge("index_unsynced_rows", "Rows of the index in memory only.", ({}, node.stores.index.unsynced_rows))
        _add_relay(page, node.relaying)
        process = Page("process")
        add_process(process)
        return page.text() + process.text()

    def _add_requests(self, page: Page) -> None:
        found = sorted(self._tallies.copy().items())
        statuses = (
            ({"op": op, "status": f"{digit}xx"}, count)
            for op, tally in found
            for digit, count in enumerate(tally.answers)
            if count
        )
        page.counter("s3_requests_total", "S3 requests answered, by operation and status.", *statuses)
        page.histogram(
            "s3_request_duration_seconds",
            "From the end of a request's head until its answer was known.",
            *(({"op": op}, tally.seconds) for op, tally in found),
        )
        page.counter(
            "s3_received_bytes_total",
            "Request bodies that were read, as sent.",
            *(({"op": op}, tally.received) for op, tally in found),
        )
        page.counter("s3_sent_bytes_total", "Answers' bodies.", *(({"op": op}, tally.sent) for op, tally in found))
        counts = self._windows.counts.copy() if self._windows is not None else {}
        page.counter(
            "unauthenticated_requests_total",
            "Requests without a signature or token that counts, by what was wrong.",
            *(({"reason": str(reason)}, count) for reason, count in sorted(counts.items())),
        )
        windows = self._windows.open if self._windows is not None else 0
        page.gauge("unauthenticated_windows", "Open windows that count such requests.", ({}, windows))

    def _expiries(self) -> list[tuple[str, float]]:
        """When the first certificate of each port's chain expires, in s since the epoch; of ports that speak TLS."""
        found = ((name, port.tls) for name, port in self.listeners.items())
        return [(name, tls.expires.timestamp()) for name, tls in found if tls is not None]

    def _add_ports(self, page: Page) -> None:
        listeners = self.listeners.items()
        page.counter(
            "audit_requests_total",
            "Requests of the audit port answered, by status.",
            *(({"status": status}, count) for status, count in sorted(self.answers.copy().items())),
        )
        page.gauge(
            "connections",
            "Open connections.",
            *(({"port": name}, len(port.server_state.connections)) for name, port in listeners),
        )
        page.gauge(
            "requests_in_flight",
            "Requests being answered.",
            *(({"port": name}, len(port.server_state.tasks)) for name, port in listeners),
        )
        page.gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "When the port's certificate expires, since the epoch.",
            *(({"port": name}, when) for name, when in self._expiries()),
        )

    def _add_commits(self, page: Page) -> None:
        log, committer = self._node.stores.log, self._node.committer
        page.histogram("commit_write_seconds", "pwritev and fdatasync of one group.", ({}, log.write_seconds))
        page.histogram("commit_group_records", "Records of one group.", ({}, log.group_records))
        page.counter("commit_bytes_total", "Groups written, their padding included.", ({}, log.group_bytes))
        page.counter("commit_rest_seconds_total", "Time that the committer left to settling.", ({}, log.debt.rested))
        page.gauge("commit_queue_operations", "Operations that wait to be decided.", ({}, committer.waiting))
        page.counter(
            "commit_turned_away_total",
            "Operations of which nothing was written, by why.",
            *(({"reason": why}, count) for why, count in committer.turned_away.items()),
        )
        refused = [(key.partition(":"), count) for key, count in sorted(committer.refused.copy().items())]
        page.counter(
            "records_refused_total",
            "Records of refusals made by this process.",
            *(({"outcome": outcome, "reason": reason}, count) for (outcome, _, reason), count in refused),
        )


def _add_state(page: Page, status: NodeStatus, reserve: int) -> None:
    free = status.disk_free
    refused = tiers.refused(free, reserve)
    page.gauge("ready", "Whether the vault takes requests.", ({}, int(status.ready)))
    page.gauge("warnings", "Warnings of /readyz.", ({}, len(status.warnings)))
    page.counter("records_durable_total", "Records in the ledger.", ({}, status.durable))
    page.counter("records_sealed_total", "Records under the published checkpoint.", ({}, status.sealed))
    page.gauge("clock_lag_seconds", "Compliance clock behind the wall clock.", ({}, status.lag_ns / NS))
    page.gauge(
        "settle_debt_bytes",
        "Commit log segments that are written no more and not given back.",
        ({}, status.settle_debt_bytes),
    )
    page.gauge("disk_free_bytes", "Free on the file system of the data directory.", ({}, free))
    page.gauge("disk_reserve_bytes", "Free space below which reads are refused.", ({}, reserve))
    page.gauge(
        "disk_refusing",
        "Whether the disk is too full for it.",
        *(({"what": what}, int(what in refused)) for what in _TIERS),
    )
    page.gauge("incarnation", "Starts of this stream's writer.", ({}, status.incarnation))
    made = parse_rfc3339(status.backup) / NS if status.backup else 0
    page.gauge("backup_timestamp_seconds", "When a backup was last recorded, since the epoch; 0: never.", ({}, made))
    scrub = status.scrub
    page.gauge("verification_findings", "What its own verification found bad and still stands.", ({}, scrub.findings))
    done = parse_rfc3339(scrub.done) / NS if scrub.done else 0
    page.gauge("verification_timestamp_seconds", "When the vault last verified itself, since the epoch.", ({}, done))


def _add_work(page: Page, work: Work) -> None:
    page.gauge("checkpoint_age_seconds", "Since all records were under a published checkpoint.", ({}, work.unsealed_s))
    page.counter("anchor_failures_total", "Times the anchor kept a checkpoint back.", ({}, work.anchor_failures))
    page.counter(
        "task_failures_total",
        "Failures of a task in the background, which is tried again.",
        *(({"task": task}, count) for task, count in work.failures.items()),
    )
    page.gauge(
        "task_failing",
        "Whether the task's last try failed.",
        *(({"task": task}, int(task in work.failing)) for task in work.failures),
    )
    page.counter("segments_recycled_total", "Commit log segments given back.", ({}, work.recycled))
    page.gauge("index_sync_age_seconds", "Since the index was last synced.", ({}, work.unsynced_s))
    page.gauge("eraser_backlog_objects", "Bodies removed and not erased yet.", ({}, work.erasable))
    page.gauge("eraser_kept_objects", "Bodies that index and ledger, or the gate, disagree about.", ({}, work.kept))
    page.counter("erased_objects_total", "Bodies erased.", ({}, work.erased))
    page.counter("pruned_records_total", "Records pruned: only their hashes are left.", ({}, work.pruned))


def _add_relay(page: Page, relaying: Relaying) -> None:
    if not relaying.configured:
        return
    page.gauge("relay_lag_records", "Durable records not known to be in Kafka.", ({}, relaying.lag_records))
    page.gauge("relay_lag_seconds", "How long the first of them has waited.", ({}, relaying.lag_seconds()))
    page.gauge("relay_refusing_writes", "Whether too many wait for new writes.", ({}, int(bool(relaying.behind))))
    page.gauge("relay_silent_seconds", "Since the relay last told of itself.", ({}, relaying.silent_s))
    told = [({"stream": standing.stream}, standing) for standing in relaying.standings]
    page.gauge("relay_failing", "Whether it cannot go on.", *((of, int(bool(each.trouble))) for of, each in told))
    page.gauge(
        "relay_topic_offset",
        "Of the stream's partition: the first offset that is there, and the one after the last. -1: not seen yet.",
        *(({**of, "edge": "first"}, each.first_offset) for of, each in told),
        *(({**of, "edge": "next"}, each.next_offset) for of, each in told),
    )
    for name, about in (
        ("sessions", "Producers begun."),
        ("transactions", "Transactions committed."),
        ("aborted", "Transactions that were not, or may not have been."),
        ("rewinds", "Times that topic and cursor disagreed."),
    ):
        page.counter(f"relay_{name}_total", about, *((of, getattr(each, name)) for of, each in told))
