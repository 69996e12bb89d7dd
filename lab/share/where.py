"""Which place a share is: the URL as a person writes it, read and checked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.errors import UserError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from lab.settings import Settings
    from lab.share.share import Share

VARIABLE = "LAB_SHARE"
NONE = "none"
FORMS = "a folder, sftp://[USER@]HOST[:PORT]/FOLDER, or s3://BUCKET[/FOLDER][?endpoint=URL]"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
URL_LENGTH = 2000


@dataclass(frozen=True)
class Where:
    """A share's place. ``root`` is the path of its folder as the file system has it (``/srv/lab``, ``bucket/lab``)."""

    kind: Literal["folder", "sftp", "s3"]
    root: str
    host: str = ""
    user: str = ""
    port: int = 0
    endpoint: str = ""

    @property
    def name(self) -> str:
        """The place as messages name it, and as :func:`parse` takes it."""
        if self.kind == "folder":
            return self.root
        if self.kind == "s3":
            return f"s3://{self.root}" + (f"?endpoint={self.endpoint}" if self.endpoint else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sftp://{self.user + '@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}{self.root}"


def chosen(said: str | None, configured: str, environ: Mapping[str, str] | None = None) -> Where | None:
    """The share that was asked for: by option ``said``, else ``LAB_SHARE``, else the configuration; ``none`` and
    nothing: none. Raises :class:`UserError` for what is no share."""
    env = os.environ if environ is None else environ
    text = said if said is not None else env.get(VARIABLE) or configured
    return None if text in ("", NONE) else parse(text)


def share_of(said: str | None, settings: Settings, tell: Callable[[str], None]) -> Share | None:
    """The share that was asked for, by an option, ``LAB_SHARE`` or the configuration. Nothing is opened yet."""
    # Imported only for those who have a share: every boot begins with this question.
    where = chosen(said, settings.share)
    if where is None:
        return None
    from lab.share.share import Share

    return Share(where, tell)


def parse(text: str) -> Where:
    """A share's place by its URL or path. Raises :class:`UserError`."""
    if len(text) > URL_LENGTH or not text.isprintable():
        raise UserError("--share: no place of that name", hint=FORMS)
    from urllib.parse import parse_qsl, urlsplit

    if "://" not in text:
        return Where("folder", str(Path(text).expanduser().absolute()))
    try:
        url = urlsplit(text)
        port = url.port or 0
        options = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
    except ValueError as error:
        raise UserError(f"--share {text}: {error}", hint=FORMS) from None
    if url.password is not None or url.fragment:
        raise UserError("--share: a URL without password and '#', please", hint="keys, an agent or the AWS settings")
    if url.scheme == "file" and not url.netloc and not options:
        return parse(url.path)
    if url.scheme == "sftp" and url.hostname and not options:
        return sftp(text, url)
    if url.scheme == "s3" and not port:
        return s3(text, url, options)
    raise UserError(f"--share {text}: no share", hint=FORMS)


def sftp(text: str, url: SplitResult) -> Where:
    """The place of an ``sftp://`` URL."""
    from lab.remote.hosts import parse as host_of

    path = url.path.rstrip("/")
    if not path:
        raise UserError(f"--share {text}: which folder of it?", hint=FORMS)
    host = host_of("share", url.netloc)
    return Where("sftp", path, host=host.host, user=host.user, port=host.port)


def s3(text: str, url: SplitResult, options: dict[str, str]) -> Where:
    """The place of an ``s3://`` URL."""
    endpoint = options.pop("endpoint", "")
    if url.username or not BUCKET.fullmatch(url.netloc) or options:
        raise UserError(f"--share {text}: no bucket", hint=FORMS)
    if endpoint and not re.fullmatch(r"https?://[^@\s]+", endpoint):
        raise UserError("--share: its endpoint is http:// or https://, without a user", hint=FORMS)
    return Where("s3", f"{url.netloc}{url.path}".rstrip("/"), endpoint=endpoint)
