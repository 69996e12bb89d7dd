"""``reproduce.sh`` of a bundle: POSIX shell, made of values that are quoted one by one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

MARKER = "lab: userspace"
KERNEL, INITRD = "/kernel-of-the-bundle", "/initramfs-of-the-bundle"
"""Stand in QEMU's arguments for the files that the script knows."""


@dataclass(frozen=True)
class Recipe:
    """All that the script does. ``compat`` and ``patches`` are files in the bundle; ``make`` are variables for make's
    command line, ``environment`` what the build's environment has; ``expect`` are fixed texts that the console has
    to show, all of them; none: user space's marker."""

    title: str
    base: str
    base_hint: str
    source: str
    url: str
    sha256: str
    compat: tuple[str, ...]
    patches: tuple[str, ...]
    make: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    qemu: tuple[str, ...]
    expect: tuple[str, ...]
    seconds: int


def words(values: Sequence[str]) -> str:
    """Shell words, each quoted."""
    return " ".join(shlex.quote(value) for value in values)


def qemu_words(values: Sequence[str]) -> str:
    """QEMU's arguments, the marks being the script's own files."""
    known = {KERNEL: '"$kernel"', INITRD: '"$here/initramfs.cpio"'}
    return " ".join(known.get(value) or shlex.quote(value) for value in values)


def comment(text: str) -> str:
    """One line of a comment."""
    return " ".join("".join(char if char.isprintable() else "?" for char in text).split())[:200]


def script(recipe: Recipe) -> str:
    """The script. It takes the kernel source as its one argument: a folder, a tarball, or a git tree."""
    applied = "".join(f"apply {shlex.quote(name)}\n" for name in (*recipe.compat, *recipe.patches))
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in recipe.environment)
    what = "the crash" if recipe.expect else "user space's marker"
    return f"""#!/bin/sh
# {comment(recipe.title)}
# Builds the kernel of this folder and boots it under QEMU. Usage: ./reproduce.sh [SOURCE] [WORKDIR]
# SOURCE is Linux {comment(recipe.base)}: a folder, a git tree or a tarball. It is copied, never written to.
# {comment(recipe.base_hint)}
# Exits 0 when the console shows {what}, 1 when it does not, 2 when something is missing.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
source=${{1:-{shlex.quote(recipe.source)}}}
work=${{2:-$here/work}}
url={shlex.quote(recipe.url)}
sha256={shlex.quote(recipe.sha256)}

say() {{ printf '%s\\n' "$*" >&2; }}

for tool in make gcc ld flex bison bc perl patch tar xz qemu-system-x86_64 timeout; do
    command -v "$tool" >/dev/null 2>&1 || {{ say "missing: $tool"; missing=1; }}
done
[ -z "${{missing:-}}" ] || {{
    say "On Debian: sudo apt-get install gcc libc6-dev make flex bison bc perl libelf-dev libssl-dev patch xz-utils \\
        qemu-system-x86"
    exit 2
}}

if [ ! -e "$source" ] && [ -n "$url" ] && command -v curl >/dev/null 2>&1; then
    mkdir -p "$work"
    source=$work/${{url##*/}}
    say "Fetching $url"
    if [ ! -f "$source" ]; then
        curl -fL --proto '=https' -o "$source.part" "$url" && mv "$source.part" "$source" || exit 2
    fi
    [ -z "$sha256" ] || printf '%s  %s\\n' "$sha256" "$source" | sha256sum -c - >&2 || exit 2
fi
[ -e "$source" ] || {{
    say "no kernel source at $source: name one: $0 SOURCE"
    say {shlex.quote(comment(recipe.base_hint))}
    exit 2
}}

kernel=$work/objects/arch/x86/boot/bzImage
if [ ! -f "$work/built" ]; then
    rm -rf "$work/tree" "$work/objects"
    mkdir -p "$work/tree" "$work/objects"
    say "Copying $source"
    if [ -d "$source/.git" ] || [ -f "$source/.git" ]; then
        git -C "$source" archive --format=tar HEAD | tar -x -C "$work/tree"
    elif [ -d "$source" ]; then
        cp -a "$source/." "$work/tree"
    else
        tar -x -f "$source" -C "$work/tree" --strip-components=1
    fi
    apply() {{
        say "Applying $1"
        patch -d "$work/tree" -p1 -s -N --no-backup-if-mismatch -F 0 <"$here/$1" >&2 || {{
            say "does not apply: $1"
            exit 2
        }}
    }}
{indented(applied)}
    cp "$here/config" "$work/objects/.config"
{indented(exports)}
    say "Building; this takes minutes. The log is $work/build.log"
    if ! make -C "$work/tree" O="$work/objects" {words(recipe.make)} -j"$(nproc)" olddefconfig bzImage \\
        >"$work/build.log" 2>&1 </dev/null; then
        grep -m 5 -E 'error:|Error [0-9]' "$work/build.log" >&2 || tail -n 5 "$work/build.log" >&2
        exit 2
    fi
    : >"$work/built"
fi

say "Booting; the console is $work/console.log"
set -- {qemu_words(recipe.qemu)}
timeout {recipe.seconds} "$@" </dev/null >"$work/console.log" 2>"$work/qemu.log" || true
missed=
for expect in {words(recipe.expect or (MARKER,))}; do
    if grep -a -q -F -e "$expect" "$work/console.log"; then
        grep -a -n -F -m 1 -e "$expect" "$work/console.log"
    else
        missed=$expect
    fi
done
if [ -z "$missed" ]; then
    say "Reproduced: all that is expected is on the console."
    exit 0
fi
say "Not reproduced: nowhere on the console: $missed"
tail -n 3 "$work/console.log" "$work/qemu.log" >&2
exit 1
"""


def indented(text: str) -> str:
    """Lines of a block of the script."""
    return "".join(f"    {line}\n" for line in text.splitlines()).rstrip("\n") or "    :"
