"""Memory that something wrote over: mm/slub.c, mm/slab.c, mm/page_alloc.c, mm/memory.c, mm/page_poison.c, kernel/fork.c, fs/dcache.c,
fs/super.c.
"""

from lab.console.rules import Refine, Rule

PAGES = (
    r"_*bad_page\w*|_*free_(?:pcp|unref|one|tail|page|hot_cold|the_page|pages|contig|huge)\w*|_*put_page\w*|__folio_put\w*|check_(?:new|free)_page\w*"
    r"|_*free_pages?\w*|prep_new_page\w*|_*rmqueue\w*|get_page_from_freelist|_*alloc_pages?\w*|__get_free_pages?|get_zeroed_page|release_pages"
    r"|print_bad_pte|_*vm_normal_(?:page|folio)"
)

_OVERWRITTEN = r"^\[(?P<what>[A-Z][\w ]+ overwritten)\] 0x"

_SLUB_WORDS = ("(?:Redzone|Poison|(?:Object p|P)adding) overwritten", "Object already free")

RULES: tuple[Rule, ...] = (
    Rule(
        word="list",
        kind="corruption",
        needles=("list_add ", "list_del "),
        pattern=r"list_(?:add|del) (?:corruption|double add)",
        title="BUG: corrupted list in {func}",
        example="list_add corruption. prev->next should be next (ffffffff82a3c0e0), but was 0000000000000000.",
        role="prelude",
    ),
    Rule(
        word="usercopy",
        kind="corruption",
        needles=("usercopy: ",),
        pattern=r"usercopy: [Kk]ernel memory (?:exposure|overwrite)",
        title="BUG: bad usercopy in {func}",
        example="usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-1k' (offset 16, size 1024)!",
        role="prelude",
    ),
    Rule(
        word="bad-page",
        kind="corruption",
        needles=("Bad page state",),
        pattern=r"Bad page state (?:in process|at) ",
        title="BUG: Bad page state in {func}",
        over=PAGES,
        example="BUG: Bad page state in process swapper/0  pfn:03b1c",
        blame="frames",
        alternatives=("BUG: Bad page state",),
    ),
    Rule(
        word="bad-page-map",
        kind="corruption",
        needles=("BUG: Bad page map in process", "BUG: Bad page cache in process"),
        pattern=r"BUG: Bad page (?P<what>map|cache) in process",
        title="BUG: Bad page {what} in {func}",
        over=PAGES,
        example="BUG: Bad page map in process init  pte:ffff8800 pmd:7b7ee067",
        blame="frames",
        alternatives=("BUG: Bad page {what}",),
    ),
    Rule(
        word="bad-rss",
        kind="corruption",
        needles=("BUG: Bad rss-counter state",),
        pattern=r"BUG: Bad rss-counter state",
        title="BUG: Bad rss-counter state",
        example="BUG: Bad rss-counter state mm:00000000d3c8b6a9 type:MM_FILEPAGES val:1",
        blame="none",
        alone=True,
    ),
    Rule(
        word="bad-pgtables",
        kind="corruption",
        needles=("BUG: non-zero ",),
        pattern=r"BUG: non-zero (?P<what>pgtables_bytes|nr_ptes|nr_pmds) on freeing mm",
        title="BUG: non-zero {what} on freeing mm",
        example="BUG: non-zero pgtables_bytes on freeing mm: 4096",
        blame="none",
        alone=True,
    ),
    Rule(
        word="dentry",
        kind="corruption",
        needles=("BUG: Dentry ",),
        pattern=r"BUG: Dentry .* still in use",
        title="BUG: Dentry still in use",
        example="BUG: Dentry 00000000b5b5b6cb{i=1,n=/} still in use (1) [unmount of tmpfs tmpfs]",
        blame="none",
    ),
    Rule(
        word="busy-inodes",
        kind="corruption",
        needles=("VFS: Busy inodes after unmount",),
        pattern=r"VFS: Busy inodes after unmount",
        title="VFS: Busy inodes after unmount (use-after-free)",
        example="VFS: Busy inodes after unmount of loop0. Self-destruct in 5 seconds.  Have a nice day...",
        blame="none",
        alone=True,
    ),
    Rule(
        word="slub",
        kind="corruption",
        needles=("ainted): ", " ): "),
        pattern=r"^(?:BUG|=*)\s*(?P<cache>\S+) \((?:Not tainted|Tainted[^)]*)\): (?P<what>[A-Z][\w ]+)",
        title="SLUB: {what} in {func}",
        example="BUG kmalloc-64 (Not tainted): Poison overwritten",
        find=(r"^INFO: (?:Allocated|Freed) in (?!.)(?P<func>\w+)",),
        refine=(
            Refine(_OVERWRITTEN, "SLUB: {what} in {func}"),
            Refine(
                r"\): Objects remaining ",
                "SLUB: Objects remaining in {func}",
                over=r"_*kmem_cache_(?:destroy|shutdown|close|release)\w*|free_partial|list_slab_objects",
            ),
        ),
        blame="frames",
    ),
    Rule(  # 2.6.22 to 2.6.26
        word="slub",
        kind="corruption",
        needles=(" overwritten", ": Object already free"),
        pattern=rf"^BUG [\w.:-]+: (?P<what>{'|'.join(_SLUB_WORDS)})",
        title="SLUB: {what} in {func}",
        example="BUG kmalloc-64: Redzone overwritten",
        blame="frames",
    ),
    Rule(  # what is overwritten stands before the report whose header only says "Object corrupt" (from 6.15)
        word="slub",
        kind="corruption",
        needles=(" overwritten] 0x",),
        pattern=_OVERWRITTEN,
        title="SLUB: {what} in {func}",
        example="[Right Redzone overwritten] 0xff6000000417b800-0xff6000000417b800 @offset=14336. First byte 0x1 instead of 0xcc",
        blame="frames",
        role="prelude",
    ),
    Rule(
        word="slab",
        kind="corruption",
        needles=("Slab corruption", "slab error in "),
        pattern=r"Slab corruption|slab error in (?P<how>\w+)\(\): cache `[^']*': (?P<what>.*)",
        title="SLAB: corruption in {func}",
        example="slab error in verify_redzone_free(): cache `size-64': memory outside object was overwritten",
        find=(r"^Last user: \[<[0-9a-f]+>\]\((?P<func>[\w.]+)\+0x",),
        blame="frames",
    ),
    Rule(
        word="slab-destroy",
        kind="corruption",
        needles=("kmem_cache_destroy ",),
        pattern=r"kmem_cache_destroy (?P<cache>\S+): Slab cache still has objects",
        title="kmem_cache_destroy: Slab cache still has objects in {func}",
        example="kmem_cache_destroy bio-1: Slab cache still has objects",
        blame="frames",
        role="prelude",
    ),
    Rule(
        word="page-poison",
        kind="corruption",
        needles=("pagealloc: ",),
        pattern=r"pagealloc: (?P<what>memory corruption|single bit error)",
        title="pagealloc: {what} in {func}",
        over=PAGES,
        example="pagealloc: memory corruption",
        blame="frames",
    ),
    Rule(
        word="stack-end",
        kind="corruption",
        needles=("Thread overran stack",),
        pattern=r"Thread overran stack, or stack corrupted",
        title="stack overrun in {func}",
        example="Thread overran stack, or stack corrupted",
        fatal=True,
        role="part",
    ),
)
