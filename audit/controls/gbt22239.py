"""GB/T 22239-2019 (MLPS, 等级保护), level 3, and the log clause of the Cybersecurity Law.

We have a source for 8.1.4.3; what the other clauses ask is from knowledge of the standard, not held against its text.
"""

from __future__ import annotations

from typing import Final

from audit.controls.requirement import NOT_YET, PARTIAL, WORKS, Requirement, Rule

_COMPUTING: Final = (
    Requirement(
        id="GBT22239-8.1.4.1",
        asks="identity (身份鉴别): every user is identified and authenticated, with two factors of which one is "
        "cryptographic; failures are handled",
        feature="an access key for each principal, signed requests, tokens that end, mutual TLS as a second lock",
        state=PARTIAL,
        why="no second factor for people and no lock-out; failures without a valid signature are counted on record",
        tests=(
            "integration/s3/test_authentication.py::test_a_wrong_secret_is_refused",
            "unit/service/test_windows.py::test_nobody_is_answered_before_the_opening_record_is_durable",
            "strangers/test_tls.py::test_boto3_needs_both_its_certificate_and_its_signature",
        ),
        live=("credentials", "tls"),
        checked=False,
    ),
    Requirement(
        id="GBT22239-8.1.4.2",
        asks="access control (访问控制): accounts with the least rights they need, no default or shared accounts",
        feature="closed roles; what no role allows is refused and recorded; `doctor` names the first principal and "
        "shared credentials",
        state=PARTIAL,
        why="roles hold for all buckets, or for those one owns: there are no policies for single buckets or users yet",
        tests=(
            "unit/test_policy.py::test_every_role_may_do_exactly_what_the_table_says",
            "integration/s3/test_authentication.py::test_a_disabled_principal_is_refused",
        ),
        live=("roles", "credentials"),
        checked=False,
    ),
    Requirement(
        id="GBT22239-8.1.4.3a",
        asks="security audit (安全审计) covers every user and all important behaviour and events",
        feature="each request whose signature verifies is a record, whatever its outcome, reads and refusals too",
        state=WORKS,
        why="requests without a valid signature are counted in windows, not one by one",
        tests=(
            "integration/test_records.py::test_only_who_reads_records_sees_any_and_everybody_else_is_on_record",
            "unit/service/test_reading.py::test_the_record_is_durable_before_the_first_byte_is_read",
        ),
        live=("log",),
    ),
    Requirement(
        id="GBT22239-8.1.4.3b",
        asks="a record has date and time, user, type of event, success or not, and more that matters",
        feature="the record's time, clock, actor, op, outcome, reason, origin, object",
        state=WORKS,
        why="the JSON Schema of the record is published",
        tests=(
            "unit/test_record.py::test_the_golden_record_has_every_field_but_the_reserved_ones",
            "unit/test_record_schema.py::test_a_vaults_whole_log_is_of_it",
        ),
        live=("clock",),
    ),
    Requirement(
        id="GBT22239-8.1.4.3c",
        asks="records are protected, backed up regularly, and not deleted, changed or overwritten unexpectedly",
        feature="append-only ledger, chain, signed checkpoints under an anchor; `strongroom log export`",
        state=PARTIAL,
        why="an export is made by hand: there is no scheduled backup and no off-site copy yet",
        tests=(
            "strangers/test_tampering.py::test_flipped_bits_are_found",
            "integration/test_cli.py::test_an_export_verifies_against_the_logs_key",
        ),
        live=("log", "anchor"),
    ),
    Requirement(
        id="GBT22239-8.1.4.3d",
        asks="the audit process is protected from being interrupted",
        feature="no record, no effect: what cannot be recorded is not done; a failed writer stops the server",
        state=WORKS,
        why="audit cannot be switched off; who stops the server also stops what there is to audit",
        tests=(
            "fault/test_syscall_failures.py::test_a_call_that_fails_is_no_success_and_stops_only_what_is_unknown",
            "integration/test_serve.py::test_a_write_to_the_ledger_that_fails_ends_it_and_the_next_start_recovers",
        ),
        live=("log",),
    ),
    Requirement(
        id="GBT22239-8.1.4.7",
        asks="integrity (数据完整性) of important data in transit and at rest, by checks or cryptography",
        feature="TLS, signed bodies, authenticated encryption, hash trees over ciphertext and records",
        state=WORKS,
        why="AES-256-GCM, SHA-256, Ed25519; SM algorithms are not there yet",
        tests=(
            "integration/s3/test_authentication.py::test_a_body_that_was_not_signed_is_refused",
            "unit/service/test_reading.py::test_damage_where_a_read_begins_releases_nothing",
            "integration/verify/test_datadir.py::test_a_flipped_bit_anywhere_is_found",
        ),
        live=("tls", "log"),
        checked=False,
    ),
    Requirement(
        id="GBT22239-8.1.4.8",
        asks="confidentiality (数据保密性) of important data in transit and at rest, by cryptography",
        feature="TLS beyond loopback, a key for each version, secrets sealed at rest, KEK kept elsewhere if wished",
        state=PARTIAL,
        why="names of objects and users are in the clear in the ledger; SM algorithms are not there yet",
        tests=(
            "unit/service/test_objects.py::test_nothing_of_the_content_stands_in_the_clear",
            "integration/test_serve.py::test_plaintext_beyond_loopback_is_not_served",
        ),
        live=("tls", "kek"),
        checked=False,
    ),
    Requirement(
        id="GBT22239-8.1.4.9",
        asks="backup and recovery (数据备份恢复): local backups, a real-time copy elsewhere, redundant systems",
        feature="backups of data and keys beside the running server, and their restore; the locked off-site copy is to "
        "answer the rest",
        state=NOT_YET,
        why="backups are local; there is no off-site copy and no second system yet",
        live=("keys",),
        checked=False,
    ),
)

_CENTRE: Final = (
    Requirement(
        id="GBT22239-8.1.5.1",
        asks="system management (系统管理): administrators are authenticated, act by set means, and are audited",
        feature="role `operator`, who sees no records; commands act through the server's socket, under the host "
        "user's name on record",
        state=PARTIAL,
        why="an operator works on the host, whose own audit is not ours",
        tests=(
            "unit/test_policy.py::test_duties_stay_separate",
            "integration/test_cli.py::test_changes_name_the_user_of_the_host",
            "integration/test_control.py::test_another_user_is_refused_and_told_why",
        ),
        live=("roles",),
        checked=False,
    ),
    Requirement(
        id="GBT22239-8.1.5.2",
        asks="audit management (审计管理): auditors are authenticated, and they alone analyse and keep records",
        feature="roles `auditor` and `examiner`, which nobody has together with `operator` or `security`",
        state=WORKS,
        why="`compliance` reads records too; each look at records is a record first",
        tests=(
            "unit/test_policy.py::test_duties_stay_separate",
            "integration/test_records.py::test_only_who_reads_records_sees_any_and_everybody_else_is_on_record",
        ),
        live=("roles", "readers"),
        checked=False,
    ),
    Requirement(
        id="GBT22239-8.1.5.3",
        asks="security management (安全管理): administrators of policy are authenticated, confined and audited",
        feature="role `security`: principals, tokens, keys, and nothing of records or objects",
        state=WORKS,
        why="once the first principal, `root`, is disabled: it does what `security` and `owner` do",
        tests=(
            "unit/test_policy.py::test_every_role_may_do_exactly_what_the_table_says",
            "unit/state/test_tokens.py::test_only_security_makes_tokens",
        ),
        live=("roles",),
        checked=False,
    ),
    Requirement(
        id="GBT22239-8.1.5.4",
        asks="central control (集中管控): records of all devices are collected and analysed in one place, and kept "
        "as long as the law says",
        feature="the ledger keeps all its own, and what other systems bring to `/v1/ingest`, for good or for "
        "`ledger.keep_days`",
        state=PARTIAL,
        why="records go to Kafka; there are no exporters to a SIEM yet, where they would be analysed",
        tests=(
            "integration/test_ingest.py::test_gaps_late_and_conflicting_numbers_are_told_and_recorded",
            "integration/test_ingest.py::test_the_same_batch_on_four_connections_at_once_is_kept_once",
        ),
        live=("log",),
        checked=False,
    ),
)

_LAW: Final = (
    Requirement(
        id="CSL-23(3)",
        asks="keep network logs for at least six months",
        feature="no record is pruned in its first 184 days; by default none ever is",
        state=WORKS,
        why="the logs of this vault; the article was 21(3) before the amendment in force from 2026",
        tests=(
            "fault/test_kill.py::test_a_kill_under_load_loses_and_doubles_nothing",
            "integration/test_pruning.py::test_too_young_records_stay_to_the_second",
        ),
        live=("log",),
        checked=False,
    ),
)

RULES: Final = (
    Rule("GB/T 22239-2019", "GB/T 22239-2019, level 3, 8.1.4 and 8.1.5", _COMPUTING + _CENTRE),
    Rule("Cybersecurity Law", "网络安全法, as amended", _LAW),
)
