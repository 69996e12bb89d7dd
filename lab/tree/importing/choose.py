"""Which of many mails are the series: revisions, order, replies, replaced patches and fixes. Pure.

The rules are those of b4 and git-am(1) where these have one; each mail is told of, with what became of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from lab.errors import UserError
from lab.tree.importing.letter import Letter, cut_out, unquoted

PATCHES_LIMIT = 1000
"""Ten times the longest series that was ever sent in earnest."""

BASE_COMMIT = re.compile(r"^base-commit: ([0-9a-f]{40}(?:[0-9a-f]{24})?)\s*$", re.MULTILINE)
PREREQUISITE = re.compile(r"^prerequisite-patch-id: ([0-9a-f]{40})\s*$", re.MULTILINE)
CHANGE_ID = re.compile(r"^change-id: ([\w.@/+-]{1,200})\s*$", re.MULTILINE)
PREREQUISITE_CHANGE = re.compile(r"^prerequisite-change-id: ([\w.@/+:-]{1,200})\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Told:
    """What became of one mail."""

    where: str
    subject: str
    became: str


@dataclass(frozen=True)
class Chosen:
    """A series out of its mails. ``fixes`` are candidates, the best first; ``base_commit`` may be empty."""

    title: str
    cover: Letter | None
    patches: tuple[Letter, ...]
    fixes: tuple[Letter, ...]
    revision: int
    base_commit: str
    prerequisites: tuple[str, ...]
    prerequisite_changes: tuple[str, ...]
    change_id: str
    mails: tuple[Told, ...]
    notes: tuple[str, ...]


@dataclass
class Posting:
    """One sending of one revision, while it is put together."""

    version: int
    total: int
    email: str
    patches: dict[int, Letter] = field(default_factory=dict)
    cover: Letter | None = None
    resend: bool = False

    @property
    def complete(self) -> bool:
        """Whether each of its patches is there."""
        return self.total > 0 and all(number in self.patches for number in range(1, self.total + 1))

    @property
    def time(self) -> float:
        """When it was sent."""
        return max((letter.time for letter in self.patches.values()), default=0.0)

    @property
    def letters(self) -> list[Letter]:
        """All of its mails, the cover first."""
        return ([self.cover] if self.cover else []) + [self.patches[number] for number in sorted(self.patches)]

    @property
    def title(self) -> str:
        """The cover's title, else the first patch's."""
        letters = self.letters
        return letters[0].subject.title if letters else ""


class Thread:
    """The mails by Message-Id, and what is above each of them."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        self.by_id = {letter.msgid: letter for letter in letters}
        self.roots: dict[str, str] = {}

    def root(self, letter: Letter) -> str:
        """The id of the topmost mail that this one hangs on, also of one that is not here."""
        known = self.roots.get(letter.msgid)
        if known is not None:
            return known
        seen: list[str] = []
        now, top = letter, letter.msgid
        while True:
            seen.append(now.msgid)
            above = now.references[0] if now.references and now.references[0] not in self.by_id else now.parent
            if not above or above in seen:
                top = now.msgid
                break
            if above in self.roots:
                top = self.roots[above]
                break
            nearer = self.by_id.get(above)
            if nearer is None:
                top = above
                break
            now = nearer
        for msgid in seen:
            self.roots[msgid] = top
        return top

    def above(self, letter: Letter) -> Iterable[Letter]:
        """The mails that are here and that ``letter`` answers, the nearest first."""
        seen = {letter.msgid}
        queue = list(letter.parents)
        while queue:
            msgid = queue.pop(0)
            if msgid in seen:
                continue
            seen.add(msgid)
            found = self.by_id.get(msgid)
            if found is not None:
                yield found
                queue = [*found.parents[:1], *queue][:400]


def choose(letters: Sequence[Letter], *, wanted: str = "", revision: int = 0) -> Chosen:
    """The series in ``letters``: that of Message-Id ``wanted`` where one is given, in its newest revision that is
    whole, or in ``revision``.

    Raises :class:`UserError` where there is no patch, more than one series, or none that is whole.
    """
    fate: dict[str, str] = {}
    unique: dict[str, Letter] = {}
    twice: list[Told] = []
    for letter in letters:
        if letter.msgid in unique:
            twice.append(Told(letter.where, letter.subject.text, "left out: the same mail is there already"))
        else:
            unique[letter.msgid] = letter
    thread = Thread(list(unique.values()))
    postings = numbered(unpacked(list(unique.values()), thread), thread)
    if not postings:
        raise UserError(f"no patch in {len(letters)} mail(s)", hint="name the mailbox, folder or thread of a series")
    lines = lineages(postings, thread)
    line = pick(lines, thread, wanted)
    posting, notes = newest(line, thread, revision)
    for number, letter in posting.patches.items():
        fate[letter.msgid] = f"patch {number} of {posting.total}" + (
            f", from v{letter.subject.version}" if letter.subject.version != posting.version else ""
        )
    if posting.cover:
        fate[posting.cover.msgid] = "the cover letter"
    taken = set(fate)
    for other in line:
        for letter in other.letters:
            fate.setdefault(letter.msgid, f"left out: replaced by v{posting.version}" if other.version < posting.version
                            else f"left out: of v{other.version}")  # fmt: skip
    fixes = candidates(list(unique.values()), thread, line, posting, fate)
    for fix in fixes:
        fate[fix.msgid] = "a fix that is a candidate"
    for letter in unique.values():
        fate.setdefault(letter.msgid, leftover(letter, lines, line))
    mails = tuple(
        Told(one.where, one.subject.text, fate[one.msgid] + "".join(f"; {note}" for note in one.notes))
        for one in unique.values()
    )
    ordered = tuple(posting.patches[number] for number in range(1, posting.total + 1))
    if len(ordered) > PATCHES_LIMIT:
        raise UserError(f"the series has {len(ordered)} patches; the lab takes at most {PATCHES_LIMIT}")
    trailers = "\n".join(letter.text for letter in posting.letters if letter.msgid in taken)
    base, change = BASE_COMMIT.search(trailers), CHANGE_ID.search(trailers)
    return Chosen(
        title=posting.title,
        cover=posting.cover,
        patches=ordered,
        fixes=tuple(fixes),
        revision=posting.version,
        base_commit=base[1] if base else "",
        prerequisites=tuple(dict.fromkeys(PREREQUISITE.findall(trailers))),
        prerequisite_changes=tuple(dict.fromkeys(PREREQUISITE_CHANGE.findall(trailers))),
        change_id=change[1] if change else "",
        mails=(*mails, *twice),
        notes=tuple(notes),
    )


def unpacked(letters: list[Letter], thread: Thread) -> list[Letter]:
    """The mails that are patches or covers of a series by their subjects, and not answers to one."""
    found = []
    for letter in letters:
        subject = letter.subject
        if subject.reply:
            continue
        if letter.has_diff or (subject.counter is not None and subject.total and subject.counter <= subject.total):
            found.append(letter)
    return found


def numbered(letters: list[Letter], thread: Thread) -> list[Posting]:
    """The postings: patches of one sender, revision and length, that don't have a number twice."""
    groups: dict[tuple[int, int, str], list[Letter]] = defaultdict(list)
    loose: list[Letter] = []
    for letter in letters:
        subject = letter.subject
        if subject.counter is None or not 0 <= subject.counter <= subject.total:
            if letter.has_diff:
                loose.append(letter)
        elif subject.total <= PATCHES_LIMIT or len(letters) >= subject.total:
            if subject.total > PATCHES_LIMIT:
                raise UserError(f"the series has {subject.total} patches; the lab takes at most {PATCHES_LIMIT}")
            groups[subject.version, subject.total, letter.email].append(letter)
    postings: list[Posting] = []
    for (version, total, email), members in groups.items():
        for chunk in unclashed(members, thread):
            posting = Posting(version, total, email, resend=any(letter.subject.resend for letter in chunk))
            for letter in chunk:
                if letter.subject.counter == 0:
                    posting.cover = letter
                elif letter.has_diff:
                    posting.patches[letter.subject.counter or 0] = letter
            postings.append(posting)
    return [posting for posting in postings if posting.patches] + loosely(loose, postings, thread)


def unclashed(members: list[Letter], thread: Thread) -> list[list[Letter]]:
    """``members`` so divided that no number is there twice: by thread, then by the order in which they came."""
    if len({letter.subject.counter for letter in members}) == len(members):
        return [members]
    threads: dict[str, list[Letter]] = defaultdict(list)
    for letter in members:
        threads[thread.root(letter)].append(letter)
    chunks: list[list[Letter]] = []
    for group in threads.values():
        current: dict[int | None, Letter] = {}
        for letter in sorted(group, key=lambda one: one.time):
            if letter.subject.counter in current:
                chunks.append(list(current.values()))
                current = {}
            current[letter.subject.counter] = letter
        chunks.append(list(current.values()))
    return chunks


def loosely(loose: list[Letter], postings: list[Posting], thread: Thread) -> list[Posting]:
    """Patches without a number. Those that answer a mail are looked at later; the others are a series in the order
    in which they are there where no numbered one is, else each is one of its own."""
    if len(loose) > PATCHES_LIMIT:
        raise UserError(f"there are {len(loose)} patches; the lab takes at most {PATCHES_LIMIT}")
    free = [letter for letter in loose if not any(True for _ in thread.above(letter))]
    if any(posting.patches for posting in postings):
        again = defaultdict(list)  # "[PATCH v2] …" as an answer to "[PATCH 05/19] …" has no number of its own
        for letter in loose:
            above = next(iter(thread.above(letter)), None)
            if letter.subject.versioned and above is not None and above.subject.title == letter.subject.title:
                again[letter.subject.version, letter.email].append(letter)
        singles = [Posting(one.subject.version, 1, one.email, {1: one}) for one in free]
        return singles + [Posting(v, 0, email, dict(enumerate(some, 1))) for (v, email), some in again.items()]
    if free:
        version = max(one.subject.version for one in free)
        return [Posting(version, len(free), free[0].email, dict(enumerate(free, 1)))]
    # Everything answers something: a patch sent into a thread is the series when there is no other.
    return [Posting(one.subject.version, 1, one.email, {1: one}) for one in loose]


def lineages(postings: list[Posting], thread: Thread) -> list[list[Posting]]:
    """Postings that are revisions of one another: one thread, one change-id, one cover title or patches in common."""
    lines: list[list[Posting]] = []
    marks: list[set[str]] = []
    for posting in postings:
        mine = {f"thread {thread.root(letter)}" for letter in posting.letters}
        mine |= {f"title {posting.email} {letter.subject.title.casefold()}" for letter in posting.letters}
        for letter in posting.letters:
            mine |= {f"change {one}" for one in CHANGE_ID.findall(letter.text)}
        same = [index for index, known in enumerate(marks) if known & mine]
        for index in reversed(same):
            mine |= marks.pop(index)
        joined = [one for index in same for one in lines[index]]
        lines = [one for index, one in enumerate(lines) if index not in same]
        lines.append([*joined, posting])
        marks.append(mine)
    return lines


def pick(lines: list[list[Posting]], thread: Thread, wanted: str) -> list[Posting]:
    """The line of revisions that is meant."""
    if wanted:
        asked = thread.by_id.get(wanted)
        root = thread.root(asked) if asked else wanted
        for line in lines:
            letters = [letter for posting in line for letter in posting.letters]
            if any(letter.msgid == wanted or thread.root(letter) == root for letter in letters):
                return line
        raise UserError(f"no patch hangs on Message-Id {wanted}")
    if len(lines) == 1:
        return lines[0]
    sized = sorted(lines, key=lambda line: max(posting.total for posting in line), reverse=True)
    if max(one.total for one in sized[0]) > 1 == max(one.total for one in sized[1]):
        return sized[0]
    listing = "; ".join(f"{line[-1].title!r} <{line[-1].letters[0].msgid}>" for line in sized[:5])
    raise UserError(f"there are {len(lines)} series: {listing}", hint="choose one with --message-id ID")


def newest(line: list[Posting], thread: Thread, revision: int) -> tuple[Posting, list[str]]:
    """The newest revision that is whole, patches of the one before standing in where only some were sent again."""
    notes: list[str] = []
    order = sorted(line, key=lambda one: (one.version, one.time))
    if revision:
        order = [one for one in order if one.version <= revision]
        if not order or order[-1].version != revision:
            there = ", ".join(f"v{one}" for one in sorted({one.version for one in line}))
            raise UserError(f"there is no revision v{revision}; there are {there}")
    whole: Posting | None = None
    for posting in order:
        filled = refilled(posting, whole, thread)
        if filled.complete:
            if filled is not posting and whole is not None:
                again = len(posting.patches)
                notes.append(f"v{posting.version} sends {again} of {filled.total} patches again; "
                             f"the others are of v{whole.version}")  # fmt: skip
            elif whole is not None and whole.version == posting.version and posting.total == whole.total:
                notes.append(f"v{posting.version} was sent twice; the later sending counts")
            elif whole is not None and posting.total != whole.total:
                notes.append(f"v{posting.version} has {posting.total} patches, v{whole.version} had {whole.total}")
            whole = filled
        else:
            missing = [number for number in range(1, posting.total + 1) if number not in posting.patches]
            numbers = ", ".join(map(str, missing[:8])) + (", …" if len(missing) > 8 else "")
            notes.append(f"v{posting.version} is not whole: of {posting.total} patches {numbers} are missing")
    if whole is None or (revision and whole.version != revision):
        raise UserError(notes[-1] if notes else "no revision is whole")
    return whole, notes


def refilled(posting: Posting, before: Posting | None, thread: Thread) -> Posting:
    """``posting`` with the patches of the revision ``before`` it where it replaces only some of them."""
    if before is None:
        return posting
    patches = dict(before.patches)
    if posting.complete and posting.total == before.total:
        return posting if posting.cover or not before.cover else replace(posting, cover=before.cover)
    for number, letter in posting.patches.items():
        place = replaced(letter, number, posting, before, thread)
        if not place:
            return posting
        patches[place] = letter
    return Posting(posting.version, before.total, before.email, patches, posting.cover or before.cover)


def replaced(letter: Letter, number: int, posting: Posting, before: Posting, thread: Thread) -> int:
    """The number of the patch of ``before`` that ``letter`` was sent to replace; 0 where it is none."""
    if posting.total == before.total:
        return number
    places = {one.msgid: place for place, one in before.patches.items()}
    for above in thread.above(letter):
        if above.msgid in places:
            return places[above.msgid]
        if not above.subject.reply:
            break
    return 0


def candidates(
    letters: list[Letter], thread: Thread, line: list[Posting], posting: Posting, fate: dict[str, str]
) -> list[Letter]:
    """Patches that were posted in the series' threads and are none of it: the series' author before others, scissors
    before diffs in the talk, later before earlier."""
    ids = {letter.msgid for one in line for letter in one.letters}
    threads = {thread.root(letter) for one in line for letter in one.letters}
    found: list[tuple[tuple[bool, bool, float], Letter]] = []
    for letter in letters:
        if letter.msgid in ids or not letter.has_diff or thread.root(letter) not in threads:
            continue
        fix = cut_out(letter) if letter.has_scissors else unquoted(letter) if letter.subject.reply else letter
        if fix.subject.reply:
            fix = replace(fix, subject=replace(fix.subject, title=f"Fix: {fix.subject.title}"))
        if fix.has_diff:
            key = (letter.email == posting.email, letter.has_scissors or not letter.subject.reply, letter.time)
            found.append((key, fix))
    found.sort(key=lambda pair: pair[0], reverse=True)
    return [fix for _, fix in found]


def leftover(letter: Letter, lines: list[list[Posting]], chosen: list[Posting]) -> str:
    """Why a mail is neither of the series nor a fix for it."""
    others = {one.msgid for line in lines if line is not chosen for posting in line for one in posting.letters}
    if letter.msgid in others:
        return "left out: of another series"
    if letter.subject.reply:
        return "left out: a reply"
    if letter.has_diff:
        return "left out: a patch of another thread"
    return "left out: no patch"
