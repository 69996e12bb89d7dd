"""A share's URL."""

import pytest

from lab.errors import UserError
from lab.share.where import Where, chosen, parse


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("/srv/lab", Where("folder", "/srv/lab")),
        ("file:///srv/lab", Where("folder", "/srv/lab")),
        ("sftp://cellar/srv/lab/", Where("sftp", "/srv/lab", host="cellar")),
        ("sftp://me@cellar.example:2222/srv/lab", Where("sftp", "/srv/lab", "cellar.example", "me", 2222)),
        ("sftp://[2001:db8::1]:22/srv", Where("sftp", "/srv", "2001:db8::1", port=22)),
        ("s3://lab-store", Where("s3", "lab-store")),
        ("s3://lab-store/a/b/", Where("s3", "lab-store/a/b")),
        (
            "s3://lab/a?endpoint=https://minio.example:9000",
            Where("s3", "lab/a", endpoint="https://minio.example:9000"),
        ),
    ],
)
def test_a_share_is_named(text, where):
    assert parse(text) == where
    assert parse(where.name) == where


@pytest.mark.parametrize(
    "text",
    [
        "http://host/x",
        "gs://bucket",
        "sftp://host",
        "sftp:///x",
        "sftp://-oProxyCommand=x/y",
        "sftp://host:99999/x",
        "sftp://me:secret@host/x",
        "s3://",
        "s3://Bucket/../x",
        "s3://key:secret@bucket/x",
        "s3://bucket?endpoint=file:///etc",
        "s3://bucket?endpoint=http://me:secret@host",
        "s3://bucket?other=1",
        "s3://[",
        "a\x1b[2Jb",
        "x" * 5000,
    ],
)
def test_what_is_no_share_is_refused_without_its_secrets(text):
    with pytest.raises(UserError) as told:
        parse(text)
    assert "secret" not in str(told.value)
    assert str(told.value).isprintable()


def test_the_option_comes_first_and_none_is_none():
    assert chosen(None, "", {}) is None
    assert chosen(None, "/configured", {}).root == "/configured"
    assert chosen(None, "/configured", {"LAB_SHARE": "/variable"}).root == "/variable"
    assert chosen("/said", "/configured", {"LAB_SHARE": "/variable"}).root == "/said"
    assert chosen("none", "/configured", {"LAB_SHARE": "/variable"}) is None
    assert chosen(None, "/configured", {"LAB_SHARE": "none"}) is None
