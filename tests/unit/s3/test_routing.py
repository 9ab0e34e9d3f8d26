from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import S3Error
from vault.record import OPS
from vault.s3 import routing
from vault.s3.routing import route
from vault.s3.target import Target

SERVICE, BUCKET, KEY = Target("", ""), Target("b", ""), Target("b", "k")

ROUTES = [
    ("GET", SERVICE, {}, "list_buckets"),
    ("PUT", BUCKET, {}, "create_bucket"),
    ("HEAD", BUCKET, {}, "head_bucket"),
    ("DELETE", BUCKET, {}, "delete_bucket"),
    ("GET", BUCKET, {"location": ""}, "get_location"),
    ("GET", BUCKET, {"versioning": ""}, "get_versioning"),
    ("PUT", BUCKET, {"versioning": ""}, "put_versioning"),
    ("GET", BUCKET, {"object-lock": ""}, "get_lock"),
    ("PUT", BUCKET, {"object-lock": ""}, "put_lock"),
    ("GET", BUCKET, {}, "list_objects"),
    ("GET", BUCKET, {"marker": "a", "prefix": "", "max-keys": "1"}, "list_objects"),
    ("GET", BUCKET, {"list-type": "2", "start-after": "a", "fetch-owner": "true"}, "list_objects_v2"),
    ("GET", BUCKET, {"versions": "", "key-marker": "k", "version-id-marker": "v"}, "list_versions"),
    ("GET", BUCKET, {"uploads": "", "max-uploads": "1"}, "list_uploads"),
    ("POST", BUCKET, {"delete": ""}, "delete_objects"),
    ("PUT", KEY, {}, "put_object"),
    ("PUT", KEY, {"x-id": "PutObject"}, "put_object"),
    ("GET", KEY, {}, "get_object"),
    ("GET", KEY, {"versionId": "v", "response-expires": "0", "partNumber": "1"}, "get_object"),
    ("HEAD", KEY, {"versionId": "v"}, "head_object"),
    ("DELETE", KEY, {"versionId": "v"}, "delete_object"),
    ("GET", KEY, {"retention": "", "versionId": "v"}, "get_retention"),
    ("PUT", KEY, {"retention": ""}, "put_retention"),
    ("GET", KEY, {"legal-hold": ""}, "get_hold"),
    ("PUT", KEY, {"legal-hold": "", "versionId": "v"}, "put_hold"),
    ("POST", KEY, {"uploads": ""}, "create_upload"),
    ("PUT", KEY, {"uploadId": "u", "partNumber": "1"}, "upload_part"),
    ("GET", KEY, {"uploadId": "u", "max-parts": "1"}, "list_parts"),
    ("POST", KEY, {"uploadId": "u"}, "complete_upload"),
    ("DELETE", KEY, {"uploadId": "u"}, "abort_upload"),
]


@pytest.mark.parametrize(("method", "target", "query", "name"), ROUTES)
def test_every_operation_is_found(method: str, target: Target, query: dict[str, str], name: str) -> None:
    assert getattr(route(method, target, query).handle, "__name__", "") == name


def test_the_table_above_is_complete() -> None:
    assert {name for *_, name in ROUTES} == {
        getattr(operation.handle, "__name__", "") for operation in routing._ROUTES.values()
    }


def test_every_operation_has_a_name_for_its_records() -> None:
    assert {operation.op for operation in routing._ROUTES.values()} <= OPS


@pytest.mark.parametrize(
    ("method", "target", "parameter"),
    [
        *(("GET", BUCKET, name) for name in (
            "abac", "accelerate", "acl", "analytics", "cors", "encryption", "intelligent-tiering", "inventory",
            "lifecycle", "logging", "metrics", "notification", "ownershipControls", "policy", "policyStatus",
            "publicAccessBlock", "replication", "requestPayment", "session", "tagging", "website",
        )),
        *(("PUT", BUCKET, name) for name in ("acl", "cors", "lifecycle", "policy", "tagging", "notification")),
        *(("DELETE", BUCKET, name) for name in ("lifecycle", "policy", "versioning", "object-lock", "delete")),
        *(("GET", KEY, name) for name in ("acl", "attributes", "tagging", "torrent", "versions", "legalHold")),
        *(("PUT", KEY, name) for name in ("acl", "tagging", "versionId", "partNumber", "renameObject", "append")),
        *(("POST", KEY, name) for name in ("restore", "select", "delete")),
        *(("DELETE", KEY, name) for name in ("tagging", "versionID", "versionid", "retention", "legal-hold")),
        ("GET", BUCKET, "versionId"),
        ("GET", BUCKET, "unheard-of"),
        ("PUT", KEY, "x-amz-unheard-of"),
        ("POST", BUCKET, "uploads"),
    ],
)  # fmt: skip
def test_a_parameter_that_asks_for_what_we_do_not_have_is_refused_and_named(
    method: str, target: Target, parameter: str
) -> None:
    with pytest.raises(S3Error) as caught:
        route(method, target, {parameter: ""})
    assert (caught.value.s3_code, caught.value.fields["Parameter"]) == ("NotImplemented", parameter)


@pytest.mark.parametrize(("method", "target"), [("POST", KEY), ("POST", BUCKET), ("PUT", SERVICE), ("HEAD", SERVICE)])
def test_what_s3_has_and_we_have_not_is_not_implemented(method: str, target: Target) -> None:
    with pytest.raises(S3Error) as caught:
        route(method, target, {})
    assert caught.value.s3_code == "NotImplemented"


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "get", ""])
def test_methods_that_s3_does_not_have_are_not_allowed(method: str) -> None:
    with pytest.raises(S3Error) as caught:
        route(method, KEY, {})
    assert caught.value.s3_code == "MethodNotAllowed"
    assert caught.value.headers == {"allow": "GET, HEAD, PUT, POST, DELETE"}


def test_two_sub_resources_conflict() -> None:
    with pytest.raises(S3Error) as caught:
        route("GET", BUCKET, {"versions": "", "uploads": ""})
    assert caught.value.s3_code == "InvalidArgument"
    assert caught.value.message == "Conflicting query string parameters: uploads, versions"


@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"]),
    st.sampled_from([SERVICE, BUCKET, KEY]),
    st.dictionaries(
        st.one_of(st.text(max_size=8), st.sampled_from(sorted({name for *_, query, _ in ROUTES for name in query}))),
        st.text(max_size=3),
        max_size=4,
    ),
)
def test_a_request_has_an_operation_that_knows_all_of_it_or_is_refused(
    method: str, target: Target, query: dict[str, str]
) -> None:
    with contextlib.suppress(S3Error):
        operation = route(method, target, query)
        for name in query:
            assert name in operation.parameters or name in routing._SELECTORS or name.startswith("x-")
