"""The project's own 19 patches as they would really be sent: git format-patch, git send-email into a file, and replies.

``python tests/importing/sent.py TREE MBOX`` writes the mailbox; TREE is a 3.7 source, which is only read.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.case import Case, load_case
from lab.paths import Paths, data_folder, user_paths
from lab.tree.bases import resolve_base
from lab.tree.series import apply_series

CONSOLE = Path(__file__).parents[1] / "data" / "consoles" / "reporter-3.7-rc4.txt"
AGAIN = (3, 9, 12)
"""The patches that are sent again, as v2."""

TO_MBOX = """#!/bin/sh
# What a mailer's sendmail would get, appended to a mailbox as public-inbox writes one.
{{ echo 'From mboxrd@z Thu Jan  1 00:00:00 1970'; sed 's/^>*From />&/'; echo; }} >>{mbox}
"""


def git(*args: str, cwd: Path, repo: Path, data: str = "") -> str:
    """git as a developer would have it set up."""
    who = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "Dev"), ("EMAIL", "dev@example.org"))}  # fmt: skip
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": str(repo), **who}
    done = subprocess.run(["git", *args], cwd=cwd, env=env, input=data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def send(files: Sequence[Path], mbox: Path, repo: Path, parent: str = "") -> None:
    """git send-email, to a file."""
    script = mbox.with_name("to-mbox")
    script.write_text(TO_MBOX.format(mbox=f"'{mbox}'"))
    script.chmod(0o755)
    options = [f"--sendmail-cmd={script}", "--to=linux-mm@example.org", "--from=Dev <dev@example.org>", "--quiet"]
    options += ["--suppress-cc=all", "--confirm=never", "--no-validate", "--no-chain-reply-to"]
    options += [f"--in-reply-to={parent}"] if parent else []
    git("send-email", *options, *map(str, files), cwd=mbox.parent, repo=repo)


def reply(mbox: Path, to: str, title: str, msgid: str, text: str) -> None:
    """An answer, as a mailer writes it, with what it answers quoted; the fix is by the series' author."""
    sender = "Dev <dev@example.org>" if msgid.startswith("fix@") else "Tester <tester@example.org>"
    head = f"From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: {sender}\nTo: Dev <dev@example.org>\n"
    head += f"Date: Wed, 07 Nov 2012 10:00:00 +0000\nMessage-Id: <{msgid}>\nIn-Reply-To: <{to}>\n"
    head += f"References: <{to}>\nSubject: Re: {title}\nContent-Type: text/plain; charset=utf-8\n\n"
    body = re.sub(r"^(>*From )", r">\1", text, flags=re.MULTILINE)
    with mbox.open("a", encoding="utf-8") as file:
        file.write(f"{head}{body.rstrip()}\n\n")


def header(path: Path, name: str) -> str:
    """One header of a formatted patch."""
    found = re.search(rf"^{name}: (.*(?:\n[ \t].*)*)", path.read_text(), re.MULTILINE | re.IGNORECASE)
    assert found, (path, name)
    return " ".join(found[1].split()).strip("<>")


def write_thread(tree: Path, mbox: Path, paths: Paths) -> Case:
    """Write the whole thread: 19 patches and a cover, reviews, the report with its console, three patches sent again,
    and between them the fix, below scissors. The case that the patches are of."""
    case = load_case("numa-foundation", data_folder("patches"))
    base = resolve_base("HEAD", paths=paths, tree=tree)
    points = apply_series(base, case.patches, paths=paths, fix=case.fix).points
    repo, folder = base.repo, mbox.parent / "outgoing"
    options = ("format-patch", "--thread=shallow", "--subject-prefix=RFC PATCH", "--quiet", "-o", str(folder))
    git(*options, "--cover-letter", f"{points[0].commit}..{points[19].commit}", cwd=mbox.parent, repo=repo)
    files = sorted(folder.iterdir())
    assert len(files) == 20
    cover = files[0].read_text().replace("*** SUBJECT HERE ***", case.title).replace("*** BLURB HERE ***", "Why.")
    files[0].write_text(cover)
    send(files, mbox, repo)
    ids = [header(file, "Message-Id") for file in files]
    titles = [header(file, "Subject") for file in files]
    reply(mbox, ids[4], titles[4], "r1@example.org", "> +x\nNice.\n\nReviewed-by: R <r@example.org>")
    crash = f"It dies:\n\n{CONSOLE.read_text(errors='replace')}"
    reply(mbox, ids[17], titles[17], "crash@example.org", crash)
    fix = git("format-patch", "-1", "--stdout", points[20].commit, cwd=mbox.parent, repo=repo)
    subject, _, body = fix.partition("\n\n")
    subject = re.sub(r"\[[^]]*\] ", "", header_of(subject))
    text = f"> It dies:\n\nTry this, please.\n\n---8<---\nSubject: {subject}\n\n{body}"
    reply(mbox, "crash@example.org", titles[17], "fix@example.org", text)
    for n in AGAIN:
        again = mbox.parent / f"again-{n}"
        prefix = f"--subject-prefix=RFC PATCH v2 {n:02}/19"
        one = ("format-patch", "-1", "-N", prefix, "--quiet", "-o", str(again))
        git(*one, points[n].commit, cwd=mbox.parent, repo=repo)
        file = next(again.iterdir())
        file.write_text(file.read_text().replace("\n---\n", "\nSecond-version: yes\n---\n", 1))
        send([file], mbox, repo, parent=ids[n])
    thanks = "> Try this, please.\n\nThat boots.\n\nTested-by: Tester <tester@example.org>"
    reply(mbox, "fix@example.org", titles[17], "r3@example.org", thanks)
    return case


def header_of(head: str) -> str:
    """The subject of a mail's head."""
    found = re.search(r"^Subject: (.*(?:\n[ \t].*)*)", head, re.MULTILINE)
    assert found
    return " ".join(found[1].split())


if __name__ == "__main__":
    target = Path(sys.argv[2]).absolute()
    target.unlink(missing_ok=True)
    write_thread(Path(sys.argv[1]).absolute(), target, user_paths())
    print(target)
