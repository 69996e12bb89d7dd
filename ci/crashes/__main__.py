"""ci/zoo: boot a crash zoo and compare what the console analysis says with what each trigger is known to do.

The kernel is Linux 6.1, 6.12 or 3.7 with tests/data/zoo/lab_zoo.c in it, and LKDTM where it has a file for each trigger
(from 6.1). Variants: "tiny" (the lab's smallest kernel, for a few triggers), "plain" (hardened usercopy, fortified
strings, KFENCE), "debug" (KASAN, UBSAN, lockdep, debug objects, kmemleak), "kcsan", "kmsan" (needs clang), "lockup"
(hard lockups, from 6.5) and "slab" (the allocator before SLUB, to 6.7). Expected titles stand beside the triggers: in
lab_zoo.c, in lkdtm.toml, and in zoo.toml, which also says what a trigger needs on the kernel's command line.

    ci/zoo --work FOLDER [--variant tiny] [--only NAME]... [--record FOLDER] [--build-only]
    ci/zoo --source TREE --work FOLDER [--variant debug] …
    ci/zoo --source TREE --work FOLDER --headers /usr/src/linux-headers-6.1.0-56-amd64 --image VMLINUZ
    ci/zoo --source TREE --work FOLDER --headers … --image VMLINUZ --arch arm64 --busybox BUSYBOX
    ci/zoo --source TREE --work FOLDER --arch riscv --busybox BUSYBOX

Without a TREE it is Debian's 6.1, and the kernel is built and kept as every kernel of the lab is.
TREE is a clean checkout (a git repository) and is not written to; kernel and consoles go into FOLDER. With --headers
no kernel is built: the zoo and LKDTM become modules for a distribution's kernel ("distro" variant). With --arch and a
static busybox of it (ci/cross gets one) all is that architecture's; its cross compiler and QEMU are needed. Exits 0
when every title is as expected.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from crashes.guests import keep, run, run_cross
from crashes.kernels import build, is_old, modules, stored, tools
from crashes.triggers import ARCHES, LKDTM, VARIANTS, triggers


def command_line() -> argparse.Namespace:
    """What is asked for, checked as far as one option forbids another."""
    parser = argparse.ArgumentParser(
        prog="ci/zoo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, help="A clean kernel checkout; without: Debian's 6.1.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--headers", type=Path, help="A distribution's kernel headers; with --image.")
    parser.add_argument("--image", type=Path, help="The kernel of those headers.")
    parser.add_argument(
        "--arch", choices=ARCHES, help="Another architecture, whose headers and image are; with --busybox."
    )
    parser.add_argument("--busybox", type=Path, help="A static busybox of it.")
    parser.add_argument("--module", type=Path, action="append", default=[], help="One more module to load.")
    parser.add_argument("--variant", choices=VARIANTS, default="plain")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=2, help="Guests at a time.")
    parser.add_argument("--build-only", action="store_true", help="Boot nothing.")
    parser.add_argument("--record", type=Path, help="Keep the consoles here, one file a trigger, the boot's lines cut.")
    arguments = parser.parse_args()
    source = arguments.source
    if source and not (source / "Makefile").is_file():
        parser.error(f"{source} is not a kernel tree")
    if not source and (arguments.headers or arguments.arch or arguments.variant == "kmsan"):
        parser.error("--headers, --arch and kmsan's kernel need --source")
    if source and arguments.variant == "tiny":
        parser.error("the smallest kernel is Debian's 6.1, without --source")
    if bool(arguments.headers) != bool(arguments.image):
        parser.error("--headers and --image belong together")
    if bool(arguments.arch) != bool(arguments.busybox):
        parser.error("--arch and --busybox belong together")
    return arguments


def main() -> int:
    """Build, boot every trigger, compare; 1 if a title is not as expected."""
    arguments = command_line()
    source, work = arguments.source and arguments.source.resolve(), arguments.work.resolve()
    cross, variant = ARCHES.get(arguments.arch), arguments.arch or arguments.variant
    loaded: list[Path] = []
    if arguments.headers:
        variant, image = arguments.arch or "distro", arguments.image.resolve()
        made_by = tools(source, variant) if cross else []
        loaded = [*modules(source, work, arguments.headers.resolve(), made_by), *arguments.module]
    else:
        image = build(source, work, variant) if source else stored(variant)
    if arguments.build_only:
        print(image)
        return 0
    lkdtm = not arguments.headers or any(path.stem == "lkdtm" for path in loaded)
    known = [one for one in triggers(variant, old=bool(source) and is_old(source)) if lkdtm or one.file != LKDTM]
    chosen = [one for one in known if not arguments.only or one.name in arguments.only]
    wrong = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        start = partial(run_cross, busybox=arguments.busybox, cross=cross) if cross else run
        results = pool.map(lambda trigger: start(image, trigger, work, loaded), chosen)
        for trigger, (title, console) in zip(chosen, results, strict=True):
            if arguments.record:
                keep(console, arguments.record / f"{variant}-{trigger.name}.txt")
            if title != trigger.title:
                wrong += 1
                print(f"{trigger.name}: expected {trigger.title!r}, got {title!r} ({console})", flush=True)
            else:
                print(f"{trigger.name}: {title}", flush=True)
    print(f"{len(chosen) - wrong} passed, {wrong} failed")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    raise SystemExit(main())
