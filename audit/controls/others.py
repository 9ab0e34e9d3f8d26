"""FINRA 4511 and 4590, CFTC 1.31, and MiFID II with its Delegated Regulation."""

from __future__ import annotations

from typing import Final

from audit.controls.requirement import NOT_SOFTWARE, PARTIAL, WORKS, Requirement, Rule

_FINRA: Final = (
    Requirement(
        id="FINRA-4511(b)",
        asks="six years where no rule sets another period",
        feature="default retention of a bucket",
        state=PARTIAL,
        why="from creation; periods that begin when an account is closed need event holds, which are not there yet",
        tests=("unit/test_retention.py::test_years_are_calendar_years",),
        live=("locks",),
    ),
    Requirement(
        id="FINRA-4511(c)",
        asks="preserve in a format and media that agree with SEC 17a-4",
        feature="as for 17a-4(f)",
        state=PARTIAL,
        why="what is partial or not yet under 17a-4(f) is so here",
        tests=("integration/s3/test_retention.py::test_compliance_is_weakened_by_nobody",),
        live=("locks",),
    ),
    Requirement(
        id="FINRA-4590",
        asks="business clocks within 50 ms or one second of NIST, synchronised each business day, with a log of it",
        feature="`clock.status` each minute: source, offset, largest error, whether synchronised; `doctor` warns",
        state=PARTIAL,
        why="it records what the kernel says of its clock; the firm runs NTP or PTP and keeps that daemon's own log",
        tests=("unit/test_clock.py::test_a_status_says_how_the_host_keeps_its_clock",),
        live=("clock",),
    ),
)

_CFTC: Final = (
    Requirement(
        id="CFTC-1.31(b)",
        asks="five years from creation, swaps for their life and five years more, readily accessible",
        feature="default retention of a bucket, a date with each object; a date can be made later at any time",
        state=PARTIAL,
        why="from creation; what runs from the end of a swap needs event holds, which are not there yet",
        tests=("integration/s3/test_retention.py::test_it_can_be_lengthened",),
        live=("locks",),
    ),
    Requirement(
        id="CFTC-1.31(c)(2)",
        asks="systems that keep records authentic and reliable and available in an emergency, and an up-to-date "
        "inventory of the systems needed to read them",
        feature="signed checkpoints, an offline verifier, documented formats",
        state=PARTIAL,
        why="no off-site copy for an emergency and no generated inventory yet",
        tests=("strangers/test_tampering.py::test_flipped_bits_are_found",),
        live=("anchor", "keys"),
    ),
    Requirement(
        id="CFTC-1.31(d)",
        asks="produce promptly, in the form asked for",
        feature="`strongroom production create`",
        state=WORKS,
        why="in its own forms; another one is made from them",
        tests=("integration/test_production.py::test_a_stranger_finds_it_good",),
        live=("readers",),
        checked=False,
    ),
)

_MIFID: Final = (
    Requirement(
        id="MiFID2-16(6),(7)",
        asks="keep records, and communications for five years, up to seven where the authority asks",
        feature="default retention; a lock can always be lengthened",
        state=WORKS,
        why="what is recorded, telephone calls above all, comes from the firm's systems",
        tests=(
            "unit/test_retention.py::test_anybody_may_keep_or_lengthen",
            "integration/s3/test_retention.py::test_it_can_be_lengthened",
        ),
        live=("locks",),
    ),
    Requirement(
        id="2017/565-72(1)(a)",
        asks="the authority can reconstitute each key stage of each transaction",
        feature="versions in order, each with its record, times and what came before it",
        state=NOT_SOFTWARE,
        why="which stages are stored is up to the systems that store them; what is stored stays in order",
        live=("log",),
    ),
    Requirement(
        id="2017/565-72(1)(b)",
        asks="corrections and what stood there before are easily ascertained",
        feature="versions, chained by their manifests; `/v1/objects` tells a key's story",
        state=WORKS,
        why="in buckets that keep versions, which every bucket with locks does",
        tests=(
            "integration/test_records.py::test_a_keys_story_says_why_it_is_locked",
            "property/test_ledger_alone.py::test_sixty_four_puts_of_one_key_make_one_chain",
        ),
        live=("locks",),
    ),
    Requirement(
        id="2017/565-72(1)(c)",
        asks="records cannot otherwise be manipulated or altered",
        feature="COMPLIANCE locks, the chain, checkpoints under an anchor elsewhere",
        state=WORKS,
        why="root on the host can destroy, but alter nothing undetected that a checkpoint outside his control covers",
        tests=(
            "integration/s3/test_retention.py::test_compliance_is_weakened_by_nobody",
            "fault/test_other_histories.py::test_a_history_rewritten_with_every_key_is_found_by_a_saved_checkpoint_alone",
        ),
        live=("locks", "anchor"),
    ),
    Requirement(
        id="2017/565-72(1)(d)",
        asks="exploitation by IT where volume and nature of the data ask for it",
        feature="`/v1/records` with filters, the view of records as Parquet, NDJSON and CSV in productions",
        state=PARTIAL,
        why="what was done is queried; what is inside the stored objects is not indexed",
        tests=("unit/query/test_view.py::test_the_files_can_be_read_by_others_as_hive_partitions",),
        live=("readers",),
    ),
)

RULES: Final = (
    Rule("FINRA", "FINRA Rules 4511 and 4590", _FINRA),
    Rule("CFTC 1.31", "17 CFR 1.31 (82 FR 24479)", _CFTC),
    Rule("MiFID II", "Directive 2014/65/EU art. 16; Delegated Regulation (EU) 2017/565 art. 72", _MIFID),
)
