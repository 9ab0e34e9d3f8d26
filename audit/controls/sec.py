"""SEC 17a-4 and 18a-6 as amended by Release 34-96034 (87 FR 66412)."""

from __future__ import annotations

from typing import Final

from audit.controls.requirement import NOT_SOFTWARE, NOT_YET, PARTIAL, WORKS, Requirement, Rule

_FORMAT: Final = (
    Requirement(
        id="17a-4(f)(2)(i)(A)",
        asks="audit-trail alternative: a complete time-stamped trail of every change and deletion, who and when, from "
        "which the original can be made again",
        feature="every operation is a record, durable before its answer, chained and signed; versions keep their bytes",
        state=PARTIAL,
        why="the trail is complete, but bytes deleted while no lock held them are erased; it is claimed only where a "
        "record class keeps the bytes, and there are no classes yet",
        tests=(
            "property/test_ledger_alone.py::test_random_operations_from_many_threads_are_proven_by_the_records_alone",
            "integration/test_records.py::test_a_keys_story_says_why_it_is_locked",
        ),
        live=("log", "anchor"),
    ),
    Requirement(
        id="17a-4(f)(2)(i)(B)",
        asks="preserve exclusively in a form that cannot be rewritten or erased (WORM)",
        feature="COMPLIANCE locks, which nobody can remove or shorten; a clock of measured time judges their end",
        state=WORKS,
        why="under COMPLIANCE; GOVERNANCE can be bypassed and is not for required records",
        tests=(
            "unit/test_retention.py::test_nobody_weakens_a_running_compliance_lock",
            "integration/s3/test_retention.py::test_compliance_is_weakened_by_nobody",
            "integration/s3/test_delete_object.py::test_governance_can_be_bypassed_and_compliance_cannot",
            "fault/test_wall_clock.py::test_a_wall_clock_ten_years_ahead_frees_nothing_and_the_lag_is_shown",
        ),
        live=("locks", "clock"),
    ),
    Requirement(
        id="17a-4(f)(2)(ii)",
        asks="verify automatically that storing and retaining is complete and accurate",
        feature="checksums at the intake, read-back before bytes move, integrity on every read; the server has its "
        "vault verified each day: all records, and the bodies in turns",
        state=PARTIAL,
        why="what a verification found is a record, and there is no signed report of it yet; of what is missing at a "
        "source only ingested events tell, where it numbers them",
        tests=(
            "integration/s3/test_put_object.py::test_a_wrong_checksum_is_refused",
            "fault/test_settle.py::test_a_crash_or_an_error_at_any_call_loses_nothing",
            "strangers/test_tampering.py::test_flipped_bits_are_found",
            "integration/test_scrub.py::test_one_flipped_byte_is_found_within_a_cycle_and_repaired_by_nobody",
            "integration/test_ingest.py::test_gaps_late_and_conflicting_numbers_are_told_and_recorded",
        ),
        live=("log",),
    ),
    Requirement(
        id="17a-4(f)(2)(iii)",
        asks="where applicable (optical disks), serialise original and duplicate units and time-date them",
        feature="each version has an id, an ordinal, a record with its seq and two times",
        state=WORKS,
        why="applies to optical disks; the numbers are there for every record anyway",
        tests=(
            "integration/test_serve.py::test_what_is_stored_is_recorded_under_the_reference_of_the_answer",
            "property/test_ledger_alone.py::test_sixty_four_puts_of_one_key_make_one_chain",
        ),
        live=("log", "clock"),
    ),
    Requirement(
        id="17a-4(f)(2)(iv)",
        asks="readily download and transfer a record and its audit trail in a human readable and in a reasonably "
        "usable electronic format, with what locates it",
        feature="`strongroom production create` and `/v1/productions`: natives, trail, exact records and proofs, "
        "tables, a page to read and the same as PDF, kept under lock as they were handed over",
        state=WORKS,
        why="as HTML, PDF, CSV, NDJSON and the bytes as stored; load files are not there yet",
        tests=(
            "integration/test_production.py::test_a_stranger_finds_it_good",
            "integration/test_production.py::test_the_page_needs_nothing_from_elsewhere_and_shows_names_as_text",
            "integration/test_production_http.py::test_what_is_kept_is_handed_out_and_verifies",
        ),
        live=("readers",),
    ),
    Requirement(
        id="17a-4(f)(2)(v)",
        asks="(A) a backup system that meets (f) too and serves when the original cannot be reached, or (B) other "
        "redundancy that ensures access",
        feature="backups beside the running server, verified and restored by command, key backups, and checkpoints "
        "kept elsewhere; the locked off-site copy is to answer it",
        state=NOT_YET,
        why="there is no off-site copy yet: a backup is no system that serves",
        live=("keys", "anchor"),
    ),
)

_DUTIES: Final = (
    Requirement(
        id="17a-4(f)(3)(i)",
        asks="at all times have facilities for immediately producing records and copies for examiners",
        feature="role `examiner` with tokens that end, the audit API, `strongroom records`, productions",
        state=PARTIAL,
        why="records and productions are at hand; there is no console for people yet",
        tests=(
            "integration/test_records.py::test_only_who_reads_records_sees_any_and_everybody_else_is_on_record",
            "integration/test_production.py::test_a_stranger_finds_it_good",
        ),
        live=("readers", "tls"),
    ),
    Requirement(
        id="17a-4(f)(3)(ii)",
        asks="be ready at all times to provide, and immediately provide, any record asked for",
        feature="every version is online and read by name; a production goes on where it was cut short, and one that "
        "was made before is handed out again from the bytes under lock",
        state=PARTIAL,
        why="how long a production takes is not measured, and a host that is down provides nothing (no off-site copy)",
        tests=("integration/test_production.py::test_a_production_goes_on_after_a_kill_and_comes_out_the_same",),
        live=("log",),
        checked=False,
    ),
    Requirement(
        id="17a-4(f)(3)(iii)",
        asks="audit system: accountability for the input of records and every change to original and duplicate; its "
        "results ready for examination and kept as long as the records",
        feature="the ledger: no record, no effect; exact bytes with proofs for who may read records",
        state=WORKS,
        why="records are kept for good, or (`ledger.keep_days`) as long as a version they name is locked, which must "
        "then be long enough; of duplicates it will tell when there is an off-site copy",
        tests=(
            "fault/test_kill.py::test_a_kill_under_load_loses_and_doubles_nothing",
            "integration/test_pruning.py::test_what_changed_nothing_and_names_nothing_locked_goes_and_all_else_stays",
            "integration/test_records.py::test_records_come_as_their_exact_bytes_in_pages_of_one_snapshot",
            "strangers/test_proof.py::test_a_stranger_accepts_a_proof_of_any_record",
        ),
        live=("log", "anchor", "readers"),
    ),
    Requirement(
        id="17a-4(f)(3)(iv)",
        asks="organise, keep current and provide the information needed to access and locate records",
        feature="an index that follows from the ledger alone, S3 listings, `/v1/objects`, formats in ARCHITECTURE",
        state=WORKS,
        why="the index is no evidence and can be made anew; `strongroom doctor --index` holds it against the ledger",
        tests=(
            "strangers/test_tampering.py::test_views_are_no_evidence_and_the_next_start_makes_them_anew",
            "integration/s3/test_list_objects.py::test_versions_and_markers_newest_first",
        ),
        checked=False,
    ),
    Requirement(
        id="17a-4(f)(3)(v)(A)",
        asks="an undertaking, signed by a designated executive officer or third party, to furnish and if need be to "
        "download records and trail",
        feature="for that person: tokens of their own, productions that are checked without us, key backups",
        state=NOT_SOFTWARE,
        why="the firm files it; there are no letters and no drills of third-party access yet",
        live=("readers",),
    ),
    Requirement(
        id="17a-4(f)(3)(v)(B)",
        asks="the executive officer may appoint in writing up to two officers and three specialists",
        feature="principals with names and roles, each act under their name",
        state=NOT_SOFTWARE,
        why="the firm appoints; the numbers are not enforced",
        live=("roles",),
    ),
    Requirement(
        id="17a-4(i)(1)(ii)(A)",
        asks="who keeps records for a firm that has independent access undertakes not to impede examination",
        feature="the firm's own principals, tokens and productions",
        state=NOT_SOFTWARE,
        why="the recordkeeper undertakes it",
    ),
    Requirement(
        id="17a-4(j)",
        asks="furnish promptly legible, true, complete and current copies, electronic ones in a usable format",
        feature="`strongroom production create`, in which the verifier finds that no version asked for was left out",
        state=WORKS,
        why="as 17a-4(f)(2)(iv)",
        tests=("integration/test_production.py::test_every_forgery_is_named_also_by_who_makes_the_manifests_anew",),
        checked=False,
    ),
)

_PERIODS: Final = (
    Requirement(
        id="17a-4(a),(b)",
        asks="six years (a) or three years (b) from creation, the first two easily accessible",
        feature="default retention of a bucket in days or years, or a date with each object; all of it stays online",
        state=WORKS,
        why="for periods that run from creation; which record belongs into which bucket is the firm's to say",
        tests=(
            "unit/test_retention.py::test_a_default_counts_from_the_later_clock",
            "integration/s3/test_known_holes.py::test_a_default_is_fixed_when_the_object_is_made",
        ),
        live=("locks",),
    ),
    Requirement(
        id="17a-4(c),(d),(e)",
        asks="periods that begin with an event: closing of an account, end of employment or use, life of the firm",
        feature="a legal hold or a matter until the event, then a retention date: both by hand",
        state=NOT_YET,
        why="there are no event holds and no record classes yet; nothing sets the date by itself",
        live=("locks",),
        checked=False,
    ),
)

RULES: Final = (
    Rule("SEC 17a-4", "17 CFR 240.17a-4, as amended by Release 34-96034", _FORMAT + _DUTIES + _PERIODS),
    Rule(
        "SEC 18a-6",
        "17 CFR 240.18a-6, as amended by Release 34-96034",
        (
            Requirement(
                id="18a-6(e)",
                asks="electronic records of nonbank security-based swap entities, after the pattern of 17a-4(f)",
                feature="as for 17a-4(f), point by point",
                state=PARTIAL,
                why="what is partial or not yet under 17a-4(f) is so here",
                tests=("integration/s3/test_retention.py::test_compliance_is_weakened_by_nobody",),
                live=("locks",),
                checked=False,
            ),
        ),
    ),
)
