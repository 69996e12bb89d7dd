// SPDX-License-Identifier: GPL-2.0-only
/*
 * A crash zoo: one trigger for each kind of report that the console analysis knows and LKDTM has no trigger for.
 *
 * Write a trigger's name to /proc/lab-zoo. Beside each stands the title that its report must get; ci/zoo reads it from here.
 * Builds for 3.7, 6.1 and 6.12.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/irq.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#define MODERN (LINUX_VERSION_CODE >= KERNEL_VERSION(5, 0, 0))

#if MODERN
#include <linux/kcsan-checks.h>
#include <linux/kfence.h>
#include <linux/sched/task_stack.h>
#include <kunit/test.h>
#else
#define WRITE_ONCE(where, value) (*(volatile typeof(where) *)&(where) = (value))
#define READ_ONCE(where) (*(volatile typeof(where) *)&(where))
#define lockdep_hardirq_enter trace_hardirq_enter
#define lockdep_hardirq_exit trace_hardirq_exit
#endif
#ifndef MAX_ORDER /* from 6.8 */
#define MAX_ORDER (MAX_PAGE_ORDER + 1)
#endif
#ifdef CONFIG_X86
#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/msr.h>
#endif

/* Keeps the call before it from becoming a jump, which no trace shows. */
#define ZOO_STAY() asm volatile("" ::: "memory")

/* 3.7 names the function before the one whose first instruction faults: this is the first one then. */
#define ZOO_ENTER() asm volatile("nop")

static DEFINE_MUTEX(zoo_mutex_a);
static DEFINE_MUTEX(zoo_mutex_b);
static DEFINE_SPINLOCK(zoo_spin_a);
static DEFINE_SPINLOCK(zoo_spin_b);
static DEFINE_SPINLOCK(zoo_spin_c);
static DEFINE_SPINLOCK(zoo_spin_d);
static DEFINE_SPINLOCK(zoo_spin_e);
static DEFINE_SPINLOCK(zoo_spin_f);
static volatile int zoo_zero;
static volatile int zoo_sink; /* what is read, or a compiler would not read it */
static void *volatile zoo_pointer;

/* lockdep */

static noinline void zoo_lock_ab(void)
{
	mutex_lock(&zoo_mutex_a);
	mutex_lock(&zoo_mutex_b);
	mutex_unlock(&zoo_mutex_b);
	mutex_unlock(&zoo_mutex_a);
	ZOO_STAY();
}

static noinline void zoo_lock_ba(void)
{
	mutex_lock(&zoo_mutex_b);
	mutex_lock(&zoo_mutex_a);
	mutex_unlock(&zoo_mutex_a);
	mutex_unlock(&zoo_mutex_b);
	ZOO_STAY();
}

static void zoo_circular(void)
{
	zoo_lock_ab();
	zoo_lock_ba();
	ZOO_STAY();
}

static noinline void zoo_nest(spinlock_t *first, spinlock_t *second)
{
	spin_lock(first);
	spin_lock(second);
	spin_unlock(second);
	spin_unlock(first);
	ZOO_STAY();
}

static void zoo_recursive(void)
{
	static spinlock_t locks[2];
	int i;

	for (i = 0; i < 2; i++)
		spin_lock_init(&locks[i]);
	zoo_nest(&locks[0], &locks[1]);
	ZOO_STAY();
}

static noinline void zoo_take_in_irq(spinlock_t *lock)
{
	unsigned long flags;

	local_irq_save(flags);
#ifdef CONFIG_TRACE_IRQFLAGS
	lockdep_hardirq_enter();
#endif
	spin_lock(lock);
	spin_unlock(lock);
#ifdef CONFIG_TRACE_IRQFLAGS
	lockdep_hardirq_exit();
#endif
	local_irq_restore(flags);
	ZOO_STAY();
}

static noinline void zoo_take_with_irqs_on(spinlock_t *lock)
{
	spin_lock(lock);
	spin_unlock(lock);
	ZOO_STAY();
}

static noinline void zoo_nest_with_irqs_off(spinlock_t *first, spinlock_t *second)
{
	unsigned long flags;

	spin_lock_irqsave(first, flags);
	spin_lock(second);
	spin_unlock(second);
	spin_unlock_irqrestore(first, flags);
	ZOO_STAY();
}

static void zoo_irq_state(void)
{
	zoo_take_in_irq(&zoo_spin_a);
	zoo_take_with_irqs_on(&zoo_spin_a);
	ZOO_STAY();
}

/* d is taken with interrupts on, d inside c with them off, then c in an interrupt. */
static void zoo_irq_inversion(void)
{
	zoo_take_with_irqs_on(&zoo_spin_d);
	zoo_nest_with_irqs_off(&zoo_spin_c, &zoo_spin_d);
	zoo_take_in_irq(&zoo_spin_c);
	ZOO_STAY();
}

/* e is taken in an interrupt, f with interrupts on, then f inside e. */
static void zoo_irq_order(void)
{
	zoo_take_in_irq(&zoo_spin_e);
	zoo_take_with_irqs_on(&zoo_spin_f);
	zoo_nest_with_irqs_off(&zoo_spin_e, &zoo_spin_f);
	ZOO_STAY();
}

static int zoo_exit_fn(void *unused)
{
	mutex_lock(&zoo_mutex_a);
	ZOO_STAY();
	return 0;
}

static void zoo_exit_locked(void)
{
	kthread_run(zoo_exit_fn, NULL, "zoo-exit");
	msleep(200);
	ZOO_STAY();
}

static noinline void zoo_unlock_unlocked(void)
{
	mutex_unlock(&zoo_mutex_a);
	ZOO_STAY();
}

static void zoo_return_locked(void)
{
	mutex_lock(&zoo_mutex_b);
	ZOO_STAY();
}

static noinline void zoo_free_locked(void)
{
	struct mutex *lock = kmalloc(sizeof(*lock), GFP_KERNEL);

	mutex_init(lock);
	mutex_lock(lock);
	kfree(lock);
	ZOO_STAY();
}

static noinline void zoo_rcu_unlocked(void)
{
	static int __rcu *pointer;

	WRITE_ONCE(zoo_zero, rcu_dereference(pointer) != NULL);
	ZOO_STAY();
}

static noinline void zoo_unkeyed(void)
{
	spinlock_t *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

#ifdef CONFIG_DEBUG_SPINLOCK
	lock->rlock.magic = 0xdead4ead;
	lock->rlock.owner = (void *)-1L;
	lock->rlock.owner_cpu = -1;
#endif
	spin_lock(lock);
	spin_unlock(lock);
	ZOO_STAY();
}

/* a is to be taken under b only, which is not held. */
static noinline void zoo_nest_lock(void)
{
	mutex_lock_nest_lock(&zoo_mutex_a, &zoo_mutex_b);
	mutex_unlock(&zoo_mutex_a);
	ZOO_STAY();
}

static noinline void zoo_subclass(void)
{
	mutex_lock_nested(&zoo_mutex_a, 9);
	mutex_unlock(&zoo_mutex_a);
	ZOO_STAY();
}

/* atomic context */

static noinline void zoo_sleep_locked(void)
{
	spin_lock(&zoo_spin_b);
	msleep(1);
	spin_unlock(&zoo_spin_b);
	ZOO_STAY();
}

static noinline void zoo_might_sleep(void)
{
	spin_lock(&zoo_spin_b);
	might_sleep();
	spin_unlock(&zoo_spin_b);
	ZOO_STAY();
}

#if MODERN
static noinline void zoo_cant_sleep(void)
{
	cant_sleep();
	ZOO_STAY();
}
#endif

static void zoo_leaky_tasklet_fn(unsigned long unused)
{
	preempt_disable();
	ZOO_STAY();
}

static struct tasklet_struct zoo_leaky_tasklet = { .func = zoo_leaky_tasklet_fn };

static noinline void zoo_softirq(void)
{
	tasklet_schedule(&zoo_leaky_tasklet);
	msleep(100);
	ZOO_STAY();
}

static noinline void zoo_preemptible(void)
{
	zoo_zero = smp_processor_id() * 0;
}

static noinline void zoo_bad_magic(void)
{
	static spinlock_t lock;

	raw_spin_lock_init(&lock.rlock);
#ifdef CONFIG_DEBUG_SPINLOCK
	lock.rlock.magic = 0;
#endif
	spin_lock(&lock);
	spin_unlock(&lock);
	ZOO_STAY();
}

/* memory */

static noinline void zoo_oob(void)
{
	char *volatile p = kmalloc(32, GFP_KERNEL);

	p[32 + zoo_zero] = 1;
	kfree(p);
	ZOO_STAY();
}

static noinline void zoo_uaf(void)
{
	char *volatile p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	zoo_sink = READ_ONCE(p[8]);
}

static noinline void zoo_double_free(void)
{
	char *volatile p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	kfree(p);
	ZOO_STAY();
}

static noinline void zoo_copy_oob(void)
{
	char *volatile p = kmalloc(32, GFP_KERNEL);
	char *volatile q = kzalloc(64, GFP_KERNEL);
	volatile size_t size = 64;

	memcpy(p, q, size);
	kfree(p);
	kfree(q);
	ZOO_STAY();
}

static noinline void zoo_stack_oob(void)
{
	volatile char here[8];
	volatile char *volatile p = here; /* so that UBSAN does not see how long it is */
	volatile int at = 12;

	here[0] = 0;
	zoo_zero = p[at + zoo_zero] & 0;
}

static char zoo_global[10];

static noinline void zoo_global_oob(void)
{
	volatile int at = 12;

	zoo_zero = ((volatile char *)zoo_global)[at] & 0;
}

static noinline void zoo_free_page_in_use(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	page->mapping = (void *)0x8;
	__free_page(page);
	ZOO_STAY();
}

static noinline void zoo_huge_alloc(void)
{
#if MODERN
	__free_pages(alloc_pages(GFP_NOWAIT, MAX_ORDER - 1), MAX_ORDER - 1);
	while (alloc_pages(GFP_NOWAIT, MAX_ORDER - 1))
		;
#else
	while (alloc_pages(GFP_NOWAIT, MAX_ORDER - 1))
		;
#endif
}

static noinline void zoo_huge_vmalloc(void)
{
	zoo_pointer = vmalloc(1UL << 46);
}

static noinline void zoo_cache_create(void)
{
	zoo_pointer = kmem_cache_create("lab-zoo-huge", 1UL << 28, 0, 0, NULL);
}

static noinline void zoo_impossible_kmalloc(void)
{
	volatile size_t size = 1UL << 40;

	kfree(kmalloc(size, GFP_KERNEL));
	ZOO_STAY();
}

static noinline void zoo_leak(void)
{
	zoo_pointer = kmalloc(123, GFP_KERNEL);
	zoo_pointer = NULL;
}

/* With slub_debug=FZPU, which sees it where KASAN does not run. */

static noinline void zoo_redzone(void)
{
	char *volatile p = kmalloc(256, GFP_KERNEL);

	p[256 + zoo_zero] = 1;
	kfree(p);
	ZOO_STAY();
}

static noinline void zoo_poison(void)
{
	char *volatile p = kmalloc(192, GFP_KERNEL);
	int i;

	kfree(p);
	p[100 + zoo_zero] = 1;
	for (i = 0; i < 64; i++)
		zoo_pointer = kmalloc(192, GFP_KERNEL);
	ZOO_STAY();
}

/* SLAB's, which has no red zones around what is aligned: kmalloc()'s objects are. */
static struct kmem_cache *zoo_slab;

static noinline char *zoo_slab_object(void)
{
	if (!zoo_slab)
		zoo_slab = kmem_cache_create("lab-zoo-slab", 200, 0, 0, NULL);
	return kmem_cache_alloc(zoo_slab, GFP_KERNEL);
}

static noinline void zoo_slab_redzone(void)
{
	char *volatile p = zoo_slab_object();

	p[200 + zoo_zero] = 1;
	kmem_cache_free(zoo_slab, p);
	ZOO_STAY();
}

static noinline void zoo_slab_twice(void)
{
	char *volatile p = zoo_slab_object();

	kmem_cache_free(zoo_slab, p);
	kmem_cache_free(zoo_slab, p);
	ZOO_STAY();
}

/* With page_poison=1, or DEBUG_PAGEALLOC's poisoning. */
static noinline void zoo_page_poison(void)
{
	static struct page *pages[64];
	struct page *page = alloc_page(GFP_KERNEL);
	volatile char *p = page_address(page);
	int i;

	__free_page(page);
	p[100 + zoo_zero] = 1;
	for (i = 0; i < 64; i++)
		pages[i] = alloc_page(GFP_KERNEL);
	ZOO_STAY();
}

static noinline void zoo_page_twice(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 2);

	__free_pages(page, 2);
	__free_pages(page, 2);
	ZOO_STAY();
}

static noinline void zoo_cache_objects(void)
{
	struct kmem_cache *cache = kmem_cache_create("lab-zoo", 120, 0, 0, NULL);

	zoo_pointer = kmem_cache_alloc(cache, GFP_KERNEL);
	kmem_cache_destroy(cache);
	ZOO_STAY();
}

#ifndef MODULE /* what it calls is not for modules */
/* Shows when the task that wrote exits. */
static noinline void zoo_rss(void)
{
	add_mm_counter(current->mm, MM_ANONPAGES, 3);
	ZOO_STAY();
}

static noinline void zoo_page_tables(void)
{
#if MODERN
	mm_inc_nr_ptes(current->mm);
#else
	current->mm->nr_ptes++;
#endif
	ZOO_STAY();
}
#endif

/* Show when the file system at /mnt is unmounted. */
static noinline void zoo_hold_dentry(void)
{
	struct path path;

	if (kern_path("/mnt/held", 0, &path))
		return;
	dget(path.dentry);
	path_put(&path);
	ZOO_STAY();
}

static noinline void zoo_hold_inode(void)
{
	struct path path;

	if (kern_path("/mnt/held", 0, &path))
		return;
	ihold(path.dentry->d_inode);
	path_put(&path);
	ZOO_STAY();
}

#ifdef CONFIG_KFENCE
static noinline char *zoo_kfence_object(void)
{
	int i;

	for (i = 0; i < 100000; i++) {
		char *p = kmalloc(32, GFP_KERNEL);

		if (is_kfence_address(p))
			return p;
		kfree(p);
		cpu_relax();
	}
	return NULL;
}

static noinline void zoo_kfence_uaf(void)
{
	char *volatile p = zoo_kfence_object();

	kfree(p);
	zoo_sink = READ_ONCE(p[8]);
}

static noinline void zoo_kfence_corrupt(void)
{
	char *volatile p = zoo_kfence_object();

	/* it stands at the start or at the end of its page, and the next one is watched all the time */
	p[offset_in_page(p) ? -1 : 33] = 1;
	kfree(p);
	ZOO_STAY();
}

static noinline void zoo_kfence_twice(void)
{
	char *volatile p = zoo_kfence_object();

	kfree(p);
	kfree(p);
	ZOO_STAY();
}
#endif

#if MODERN
static noinline void zoo_uninit(void)
{
	int *volatile p = kmalloc(64, GFP_KERNEL);

	if (p[3] == 7)
		pr_info("lab-zoo: seven\n");
	kfree(p);
	ZOO_STAY();
}

/* As above, of what was freed. */
static noinline void zoo_stale(void)
{
	int *volatile p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	if (p[3] == 7)
		pr_info("lab-zoo: seven\n");
	ZOO_STAY();
}

static char __user *zoo_user; /* what the name was written from */

static noinline void zoo_infoleak(void)
{
	char *volatile p = kmalloc(64, GFP_KERNEL);

	zoo_sink = copy_to_user(zoo_user, p, 8);
	kfree(p);
	ZOO_STAY();
}

static int zoo_raced;

static noinline void zoo_race_write(void)
{
	zoo_raced++;
	ZOO_STAY();
}

static noinline void zoo_race_read(void)
{
	if (zoo_raced == -1)
		pr_info("lab-zoo: minus one\n");
	ZOO_STAY();
}

static noinline void zoo_race_alone(void)
{
	ASSERT_EXCLUSIVE_WRITER(zoo_raced);
	ZOO_STAY();
}

/* As a device would, unseen. */
static noinline __no_kcsan void zoo_race_hidden(void)
{
	WRITE_ONCE(zoo_raced, zoo_raced + 1);
	ZOO_STAY();
}

static int zoo_race_fn(void *write)
{
	while (!kthread_should_stop()) {
		((void (*)(void))write)();
		cond_resched();
	}
	return 0;
}

static void zoo_race_with(void (*write)(void), void (*mine)(void))
{
	struct task_struct *other = kthread_run(zoo_race_fn, write, "zoo-race");
	unsigned long until = jiffies + 5 * HZ;

	while (time_before(jiffies, until)) {
		mine();
		cond_resched();
	}
	kthread_stop(other);
}

static void zoo_race(void)
{
	zoo_race_with(zoo_race_write, zoo_race_read);
	ZOO_STAY();
}

static void zoo_race_assert(void)
{
	zoo_race_with(zoo_race_write, zoo_race_alone);
	ZOO_STAY();
}

static void zoo_race_unknown(void)
{
	zoo_race_with(zoo_race_hidden, zoo_race_read);
	ZOO_STAY();
}
#endif

static noinline void zoo_oom(void)
{
	while (alloc_page(GFP_KERNEL))
		;
	ZOO_STAY();
}

static noinline void zoo_list_add(void)
{
	static LIST_HEAD(head);
	static struct list_head one, two;

	list_add(&one, &head);
	head.next = &two;
	list_add(&two, &head);
	ZOO_STAY();
}

static noinline void zoo_list_del(void)
{
	static LIST_HEAD(head);
	static struct list_head one;

	list_add(&one, &head);
	list_del(&one);
	list_del(&one);
	ZOO_STAY();
}

static noinline void zoo_stack(void)
{
	volatile char here[64];
	volatile int i;

	for (i = 0; i < 128; i++)
		((volatile char *)here)[i] = 'z';
	ZOO_STAY();
}

static noinline int zoo_deep(volatile int depth)
{
	volatile char here[512];

	here[depth & 511] = depth;
	return depth ? zoo_deep(depth - 1) + here[depth & 511] : 0;
}

static noinline void zoo_stack_overflow(void)
{
	zoo_zero = zoo_deep(1 << 20) & 0;
}

/* Not a push: only the word at the stack's end is written over. */
static noinline void zoo_stack_end(void)
{
	*end_of_stack(current) = 0;
	schedule();
	ZOO_STAY();
}

static noinline void zoo_stack_overrun(void)
{
	*end_of_stack(current) = 0;
	*(volatile int *)16 = 1;
}

/* objects */

static noinline void zoo_file_count(void)
{
	static struct file closed;

	filp_close(&closed, NULL);
	ZOO_STAY();
}

static void zoo_release(struct kref *unused)
{
}

static noinline void zoo_kref(void)
{
	static struct kref kref;

	kref_init(&kref);
	kref_put(&kref, zoo_release);
	kref_get(&kref);
	ZOO_STAY();
}

static void zoo_timer_fn(
#if MODERN
	struct timer_list *t
#else
	unsigned long t
#endif
)
{
}

static noinline void zoo_free_active_timer(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

#if MODERN
	timer_setup(timer, zoo_timer_fn, 0);
#else
	setup_timer(timer, zoo_timer_fn, 0);
#endif
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
	ZOO_STAY();
}

static noinline void zoo_kobject_twice(void)
{
	static struct kobject *one, *two;

	one = kobject_create_and_add("lab-zoo", NULL);
	two = kobject_create_and_add("lab-zoo", NULL);
	ZOO_STAY();
}

static noinline void zoo_kobject_again(void)
{
	static struct kobject one;
	static struct kobj_type type;

	kobject_init(&one, &type);
	kobject_init(&one, &type);
	ZOO_STAY();
}

static noinline void zoo_proc_twice(void)
{
	proc_mkdir("lab-zoo-dir", NULL);
	proc_mkdir("lab-zoo-dir", NULL);
	ZOO_STAY();
}

/* undefined behaviour, faults */

static noinline void zoo_shift(void)
{
	volatile int by = 40, one = 1;

	zoo_sink = one << by;
}

static noinline void zoo_index(void)
{
	static volatile int array[4];
	volatile int at = 5;

	zoo_sink = array[at];
}

static noinline void zoo_divide(void)
{
	volatile int by = 0;

	zoo_zero = 100 / by;
}

static noinline void zoo_null(void)
{
	ZOO_ENTER();
	*(volatile int *)16 = 1;
}

static noinline void zoo_paging(void)
{
	*(volatile int *)0xffffdeadbeef0000UL = 1;
}

static noinline void zoo_gpf(void)
{
	*(volatile int *)0xdead000000000000UL = 1;
}

static noinline void zoo_opcode(void)
{
	ZOO_ENTER();
#ifdef CONFIG_ARM64
	asm volatile(".inst 0");
#elif !defined(CONFIG_X86)
	asm volatile(".long 0");
#else
	asm volatile(".byte 0x0f, 0xff, 0xc0");
#endif
}

static noinline void zoo_bug(void)
{
	ZOO_ENTER();
	BUG();
}

static noinline void zoo_warn(void)
{
	WARN(1, "zoo: %d\n", 7);
	ZOO_STAY();
}

static const char zoo_constant[] = "written over";

static noinline void zoo_read_only(void)
{
	char *volatile p = (char *)zoo_constant;

	*p = 0;
}

static noinline void zoo_jump_nowhere(void)
{
	void (*volatile nowhere)(void) = NULL;

	nowhere();
	ZOO_STAY();
}

#ifdef CONFIG_X86
/* MSR_VM_HSAVE_PA takes an address of a page: of the few that QEMU's emulation answers with a fault. */
static noinline void zoo_msr(void)
{
	wrmsr(0xc0010117, 1, 0);
	ZOO_STAY();
}

static noinline void zoo_nmi(void)
{
	preempt_disable();
	apic->send_IPI_mask(cpumask_of(smp_processor_id()), NMI_VECTOR);
	udelay(100);
	preempt_enable();
	ZOO_STAY();
}

/* A push below a stack that is nowhere: the fault's own frame can't be pushed either. */
static noinline void zoo_double_fault(void)
{
	asm volatile("mov %0, %%rsp; push %%rax" : : "r"(0xffffc8ffffff0000UL) : "memory");
}

/* A stack segment that is not present. */
static noinline void zoo_stack_segment(void)
{
	struct desc_struct *gdt;

	preempt_disable();
#if MODERN
	gdt = get_current_gdt_rw();
#else
	gdt = get_cpu_gdt_table(smp_processor_id());
#endif
	*(u64 *)&gdt[GDT_ENTRY_TLS_MIN] = 0x00cf13000000ffffULL;
	asm volatile("mov %0, %%ss" : : "r"(GDT_ENTRY_TLS_MIN * 8) : "memory");
}

static noinline void zoo_triple_fault(void)
{
	struct desc_ptr none = { 0, 0 };

	asm volatile("cli; lidt %0; int3" : : "m"(none));
}
#endif

static noinline void zoo_panic_text(void)
{
	panic("zoo: number %d at %p", 42, zoo_global);
	ZOO_STAY();
}

static void zoo_irq_bug_fn(void *unused)
{
	ZOO_ENTER();
	BUG();
	ZOO_STAY();
}

static noinline void zoo_irq_bug(void)
{
	smp_call_function_single(raw_smp_processor_id(), zoo_irq_bug_fn, NULL, 1);
	smp_call_function(zoo_irq_bug_fn, NULL, 1);
	ZOO_STAY();
}

static irqreturn_t zoo_not_mine(int irq, void *unused)
{
	return IRQ_NONE;
}

/* As a device would that raises an interrupt which no driver knows: of a hundred thousand nearly all must be cared for. */
static int zoo_irq;

static void zoo_raise_fn(struct irq_work *unused)
{
	int i;

	for (i = 0; i < 100000; i++)
		generic_handle_irq(zoo_irq);
	ZOO_STAY();
}

static noinline void zoo_nobody_cared(void)
{
	static struct irq_work work;

	for (zoo_irq = 5; zoo_irq < 12; zoo_irq++)
		if (!request_irq(zoo_irq, zoo_not_mine, 0, "lab-zoo", zoo_not_mine))
			break;
	init_irq_work(&work, zoo_raise_fn);
	irq_work_queue(&work); /* in an interrupt: what a CPU asks of an idle one may be done by its idle loop */
	irq_work_sync(&work);
	free_irq(zoo_irq, zoo_not_mine);
	ZOO_STAY();
}

/* stuck */

static noinline void zoo_spin_forever(void)
{
	for (;;)
		cpu_relax();
	ZOO_STAY();
}

static void zoo_soft_lockup(void)
{
	preempt_disable();
	zoo_spin_forever();
	ZOO_STAY();
}

static void zoo_rcu_fn(struct rcu_head *unused)
{
}

/* A grace period that can stall there is only where somebody waits for it. */
static void zoo_rcu_stall(void)
{
	static struct rcu_head head;

	call_rcu(&head, zoo_rcu_fn);
	rcu_read_lock();
	zoo_spin_forever();
	ZOO_STAY();
}

/* Who may not be preempted holds up what 3.7 calls rcu_sched. */
static void zoo_rcu_self(void)
{
	static struct rcu_head head;

#if MODERN
	call_rcu(&head, zoo_rcu_fn);
#else
	call_rcu_sched(&head, zoo_rcu_fn);
#endif
	preempt_disable();
	zoo_spin_forever();
	ZOO_STAY();
}

/* No interrupt comes through: only another processor, or an NMI, can notice. */
static void zoo_hard_lockup(void)
{
	local_irq_disable();
	zoo_spin_forever();
	ZOO_STAY();
}

static int zoo_irqs_off_fn(void *unused)
{
	unsigned long until = jiffies + 10 * HZ;

	local_irq_disable();
	while (time_before(jiffies, until))
		cpu_relax();
	local_irq_enable();
	return 0;
}

static void zoo_nothing_fn(void *unused)
{
}

/* The other CPU does not answer. */
static noinline void zoo_csd(void)
{
	struct task_struct *deaf = kthread_create(zoo_irqs_off_fn, NULL, "zoo-deaf");

	set_cpus_allowed_ptr(current, cpumask_of(0));
	kthread_bind(deaf, 1);
	wake_up_process(deaf);
	msleep(100);
	smp_call_function_single(1, zoo_nothing_fn, NULL, 1);
	ZOO_STAY();
}

static noinline void zoo_wrong_timeout(void)
{
	schedule_timeout(-16);
	ZOO_STAY();
}

static noinline void zoo_hung(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule();
	ZOO_STAY();
}

static noinline void zoo_hung_mutex(void)
{
	mutex_lock(&zoo_mutex_a);
	mutex_lock(&zoo_mutex_a);
	ZOO_STAY();
}

static void zoo_stuck_work_fn(struct work_struct *work)
{
	zoo_spin_forever();
	ZOO_STAY();
}

static DECLARE_WORK(zoo_stuck_work, zoo_stuck_work_fn);

static noinline void zoo_stuck_work_queue(void)
{
	schedule_work(&zoo_stuck_work);
	ZOO_STAY();
}

static void zoo_leaky_work_fn(struct work_struct *work)
{
	preempt_disable();
	ZOO_STAY();
}

static DECLARE_WORK(zoo_leaky_work, zoo_leaky_work_fn);

static noinline void zoo_leaky_work_queue(void)
{
	schedule_work(&zoo_leaky_work);
	flush_work(&zoo_leaky_work);
	ZOO_STAY();
}

/* at boot: "zoo=NAME" on the kernel's command line, before the traps have their real handlers */

static noinline __maybe_unused void zoo_early_null(void)
{
	ZOO_ENTER();
	*(volatile int *)16 = 1;
}

static noinline __maybe_unused void zoo_early_bug(void)
{
	ZOO_ENTER();
	BUG();
}

#ifndef MODULE
static bool zoo_leaks_at_init __initdata;

static int __init zoo_leaky_initcall(void)
{
	if (zoo_leaks_at_init)
		preempt_disable();
	return 0;
}
late_initcall(zoo_leaky_initcall);

static int __init zoo_early(char *name)
{
	zoo_leaks_at_init = !strcmp(name, "initcall");
	if (!strcmp(name, "null"))
		zoo_early_null();
	if (!strcmp(name, "bug"))
		zoo_early_bug();
#ifdef CONFIG_X86
	if (!strcmp(name, "triple"))
		zoo_triple_fault();
#endif
	if (!strcmp(name, "panic"))
		panic("zoo: early");
	return 0;
}
early_param("zoo", zoo_early);
#endif

#if MODERN && defined(CONFIG_KUNIT) && !defined(MODULE)
static void zoo_test_passes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 1, 1);
}

static void zoo_test_fails(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, zoo_zero + 1, 2);
}

static struct kunit_case zoo_cases[] = { KUNIT_CASE(zoo_test_passes), KUNIT_CASE(zoo_test_fails), {} };
static struct kunit_suite zoo_suite = { .name = "zoo", .test_cases = zoo_cases };
kunit_test_suite(zoo_suite);
#endif

static const struct zoo_trigger {
	const char *name;
	void (*run)(void);
	const char *title; /* on a kernel with KASAN, UBSAN and lockdep */
	const char *plain; /* on one without, where it shows there too */
} zoo_triggers[] = {
	{ "circular", zoo_circular, "possible deadlock in zoo_lock_ba" },
	{ "recursive", zoo_recursive, "possible deadlock in zoo_nest" },
	{ "irq-state", zoo_irq_state, "inconsistent lock state in zoo_take_with_irqs_on" },
	{ "irq-inversion", zoo_irq_inversion, "possible deadlock in zoo_take_in_irq" },
	{ "irq-order", zoo_irq_order, "possible deadlock in zoo_take_in_irq" },
	{ "exit-locked", zoo_exit_locked, "WARNING: still has locks held in zoo_exit_fn" },
	{ "unlock", zoo_unlock_unlocked, "WARNING: bad unlock balance in zoo_unlock_unlocked" },
	{ "return-locked", zoo_return_locked, "WARNING: lock held when returning to user space in zoo_return_locked" },
	{ "free-locked", zoo_free_locked, "WARNING: held lock freed in zoo_free_locked" },
	{ "rcu-usage", zoo_rcu_unlocked, "WARNING: suspicious RCU usage in zoo_rcu_unlocked" },
	{ "unkeyed", zoo_unkeyed, "INFO: trying to register non-static key in zoo_unkeyed" },
	{ "nest-lock", zoo_nest_lock, "WARNING: nested lock was not taken in zoo_nest_lock" },
	{ "subclass", zoo_subclass, "BUG: looking up invalid subclass in zoo_subclass" },
	{ "atomic-schedule", zoo_sleep_locked, "BUG: scheduling while atomic in zoo_sleep_locked",
	  "BUG: scheduling while atomic in zoo_sleep_locked" },
	{ "atomic-sleep", zoo_might_sleep, "BUG: sleeping function called from invalid context in zoo_might_sleep",
	  "BUG: sleeping function called from invalid context in zoo_might_sleep" },
#if MODERN
	{ "cant-sleep", zoo_cant_sleep, "BUG: assuming atomic context in zoo_cant_sleep",
	  "BUG: assuming atomic context in zoo_cant_sleep" },
#endif
	{ "softirq", zoo_softirq, "softirq TASKLET with unbalanced preempt count",
	  "softirq TASKLET with unbalanced preempt count" },
	{ "preemptible", zoo_preemptible, "BUG: using smp_processor_id() in preemptible code in zoo_preemptible",
	  "BUG: using smp_processor_id() in preemptible code in zoo_preemptible" },
	{ "bad-magic", zoo_bad_magic, "BUG: spinlock bad magic in zoo_bad_magic" },
	{ "oob", zoo_oob, "KASAN: slab-out-of-bounds Write in zoo_oob" },
	{ "uaf", zoo_uaf, "KASAN: use-after-free Read in zoo_uaf" },
	{ "double-free", zoo_double_free, "KASAN: invalid-free in zoo_double_free" },
	{ "copy-oob", zoo_copy_oob, "KASAN: slab-out-of-bounds Write in zoo_copy_oob" },
	{ "stack-oob", zoo_stack_oob, "KASAN: stack-out-of-bounds Read in zoo_stack_oob" },
	{ "global-oob", zoo_global_oob, "KASAN: global-out-of-bounds Read in zoo_global_oob" },
	{ "redzone", zoo_redzone, NULL,
	  "SLUB: Right Redzone overwritten in zoo_redzone" },
	{ "poison", zoo_poison, NULL,
	  "SLUB: Poison overwritten in zoo_poison" },
	{ "slab-redzone", zoo_slab_redzone },
	{ "slab-twice", zoo_slab_twice },
	{ "page-poison", zoo_page_poison, NULL,
	  "pagealloc: memory corruption in zoo_page_poison" },
	{ "page-twice", zoo_page_twice, "kernel BUG in zoo_page_twice",
	  "kernel BUG in zoo_page_twice" },
	{ "cache-objects", zoo_cache_objects, "SLUB: Objects remaining in zoo_cache_objects",
	  "SLUB: Objects remaining in zoo_cache_objects" },
#ifndef MODULE
	{ "rss", zoo_rss, "BUG: Bad rss-counter state",
	  "BUG: Bad rss-counter state" },
#endif
#ifndef MODULE
	{ "page-tables", zoo_page_tables, "BUG: non-zero pgtables_bytes on freeing mm: NUM",
	  "BUG: non-zero pgtables_bytes on freeing mm: NUM" },
#endif
	{ "dentry", zoo_hold_dentry, "BUG: Dentry still in use",
	  "BUG: Dentry still in use" },
	{ "inode", zoo_hold_inode, "VFS: Busy inodes after unmount (use-after-free)",
	  "VFS: Busy inodes after unmount (use-after-free)" },
#ifdef CONFIG_KFENCE
	{ "kfence-uaf", zoo_kfence_uaf, NULL,
	  "KFENCE: use-after-free in zoo_kfence_uaf" },
	{ "kfence-corrupt", zoo_kfence_corrupt, NULL,
	  "KFENCE: memory corruption in zoo_kfence_corrupt" },
	{ "kfence-twice", zoo_kfence_twice, NULL,
	  "KFENCE: invalid free in zoo_kfence_twice" },
#endif
#if MODERN
	{ "uninit", zoo_uninit },
	{ "stale", zoo_stale },
	{ "infoleak", zoo_infoleak },
	{ "race", zoo_race },
	{ "race-assert", zoo_race_assert },
	{ "race-unknown", zoo_race_unknown },
#endif
	{ "oom", zoo_oom, NULL,
	  "out of memory" },
	{ "list-add", zoo_list_add, "BUG: corrupted list in zoo_list_add",
	  "BUG: corrupted list in zoo_list_add" },
	{ "list-del", zoo_list_del, "BUG: corrupted list in zoo_list_del",
	  "BUG: corrupted list in zoo_list_del" },
	{ "stack", zoo_stack, NULL,
	  "kernel panic: stack is corrupted in zoo_stack" },
	{ "stack-end", zoo_stack_end, "kernel panic: corrupted stack end in zoo_stack_end",
	  "kernel panic: corrupted stack end in zoo_stack_end" },
	{ "stack-overrun", zoo_stack_overrun, NULL,
	  "BUG: unable to handle kernel NULL pointer dereference in zoo_stack_overrun" },
	{ "stack-overflow", zoo_stack_overflow, "BUG: stack guard page was hit in zoo_deep",
	  "BUG: stack guard page was hit in zoo_deep" },
	{ "bug", zoo_bug, "kernel BUG in zoo_bug",
	  "kernel BUG in zoo_bug" },
	{ "warn", zoo_warn, "WARNING in zoo_warn",
	  "WARNING in zoo_warn" },
	{ "read-only", zoo_read_only, "BUG: unable to handle kernel paging request in zoo_read_only",
	  "BUG: unable to handle kernel paging request in zoo_read_only" },
	{ "jump-nowhere", zoo_jump_nowhere, "BUG: unable to handle kernel NULL pointer dereference in zoo_jump_nowhere",
	  "BUG: unable to handle kernel NULL pointer dereference in zoo_jump_nowhere" },
#ifdef CONFIG_X86
	{ "msr", zoo_msr, "unchecked MSR access error in zoo_msr",
	  "unchecked MSR access error in zoo_msr" },
	{ "nmi", zoo_nmi, "unknown NMI",
	  "unknown NMI" },
	{ "double-fault", zoo_double_fault, "PANIC: double fault in zoo_double_fault",
	  "PANIC: double fault in zoo_double_fault" },
	{ "stack-segment", zoo_stack_segment, "stack segment fault in zoo_stack_segment",
	  "stack segment fault in zoo_stack_segment" },
	{ "triple-fault", zoo_triple_fault },
#endif
	{ "workqueue", zoo_stuck_work_queue, NULL,
	  "BUG: workqueue lockup" },
	{ "bad-page", zoo_free_page_in_use, "BUG: Bad page state in zoo_free_page_in_use",
	  "BUG: Bad page state in zoo_free_page_in_use" },
	{ "alloc-failure", zoo_huge_alloc, "page allocation failure in zoo_huge_alloc",
	  "page allocation failure in zoo_huge_alloc" },
	{ "kmalloc", zoo_impossible_kmalloc, "WARNING in zoo_impossible_kmalloc",
	  "WARNING in zoo_impossible_kmalloc" },
	{ "vmalloc-failure", zoo_huge_vmalloc, "vmalloc allocation failure in zoo_huge_vmalloc",
	  "vmalloc allocation failure in zoo_huge_vmalloc" },
	{ "cache-create", zoo_cache_create, "kmem_cache_create failed in zoo_cache_create",
	  "kmem_cache_create failed in zoo_cache_create" },
	{ "leak", zoo_leak, "memory leak in zoo_leak" },
	{ "kref", zoo_kref, "WARNING: refcount bug in zoo_kref",
	  "WARNING: refcount bug in zoo_kref" },
	{ "odebug", zoo_free_active_timer, "WARNING: ODEBUG bug in zoo_free_active_timer" },
	{ "proc-twice", zoo_proc_twice, "WARNING: proc registration bug in zoo_proc_twice",
	  "WARNING: proc registration bug in zoo_proc_twice" },
	{ "kobject-twice", zoo_kobject_twice, "" },
	{ "kobject-again", zoo_kobject_again, "WARNING: kobject bug in zoo_kobject_again",
	  "WARNING: kobject bug in zoo_kobject_again" },
	{ "file-count", zoo_file_count, "VFS: Close: file count is 0",
	  "VFS: Close: file count is 0" },
	{ "shift", zoo_shift, "UBSAN: shift-out-of-bounds in zoo_shift" },
	{ "index", zoo_index, "UBSAN: array-index-out-of-bounds in zoo_index" },
	{ "divide", zoo_divide, "divide error in zoo_divide",
	  "divide error in zoo_divide" },
	{ "null", zoo_null, "KASAN: null-ptr-deref Write in zoo_null",
	  "BUG: unable to handle kernel NULL pointer dereference in zoo_null" },
	{ "paging", zoo_paging, "BUG: unable to handle kernel paging request in zoo_paging",
	  "BUG: unable to handle kernel paging request in zoo_paging" },
	{ "gpf", zoo_gpf, "KASAN: wild-memory-access Write in zoo_gpf",
	  "general protection fault in zoo_gpf" },
	{ "opcode", zoo_opcode, "invalid opcode in zoo_opcode",
	  "invalid opcode in zoo_opcode" },
	{ "panic-text", zoo_panic_text, "kernel panic: zoo: number NUM at ADDR",
	  "kernel panic: zoo: number NUM at ADDR" },
	{ "irq-bug", zoo_irq_bug, "kernel BUG in zoo_irq_bug_fn",
	  "kernel BUG in zoo_irq_bug_fn" },
	{ "nobody-cared", zoo_nobody_cared, "irq NUM: nobody cared",
	  "irq NUM: nobody cared" },
	{ "csd", zoo_csd, NULL,
	  "INFO: non-responsive CSD lock in zoo_irqs_off_fn" },
	{ "soft-lockup", zoo_soft_lockup, "BUG: soft lockup in proc_reg_write",
	  "BUG: soft lockup in proc_reg_write" },
	{ "rcu-stall", zoo_rcu_stall, "INFO: rcu detected stall in proc_reg_write",
	  "INFO: rcu detected stall in proc_reg_write" },
	{ "rcu-self", zoo_rcu_self, "INFO: rcu detected stall in proc_reg_write",
	  "INFO: rcu detected stall in proc_reg_write" },
	{ "hard-lockup", zoo_hard_lockup },
	{ "wrong-timeout", zoo_wrong_timeout, "schedule_timeout: wrong timeout value in zoo_wrong_timeout",
	  "schedule_timeout: wrong timeout value in zoo_wrong_timeout" },
	{ "hung", zoo_hung, "INFO: task hung in zoo_hung",
	  "INFO: task hung in zoo_hung" },
	{ "hung-mutex", zoo_hung_mutex, "possible deadlock in zoo_hung_mutex",
	  "INFO: task hung in zoo_hung_mutex" },
	{ "leaky-work", zoo_leaky_work_queue, "BUG: workqueue leaked lock or atomic in zoo_leaky_work_fn",
	  "BUG: workqueue leaked lock or atomic in zoo_leaky_work_fn" },
};

static ssize_t zoo_write(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
	char name[32];
	size_t i;

	if (size == 0 || size >= sizeof(name) || copy_from_user(name, from, size))
		return -EINVAL;
	name[size] = 0;
	name[strcspn(name, "\n")] = 0;
	for (i = 0; i < ARRAY_SIZE(zoo_triggers); i++) {
		if (strcmp(zoo_triggers[i].name, name))
			continue;
		pr_info("lab-zoo: %s\n", name);
#if MODERN
		zoo_user = (char __user *)from;
#endif
		zoo_triggers[i].run();
		return size;
	}
	return -ENOENT;
}

#if MODERN
static const struct proc_ops zoo_fops = { .proc_write = zoo_write };
#else
static const struct file_operations zoo_fops = { .write = zoo_write };
#endif

static int __init zoo_init(void)
{
	return proc_create("lab-zoo", 0200, NULL, &zoo_fops) ? 0 : -ENOMEM;
}

#ifdef MODULE
module_init(zoo_init);
MODULE_LICENSE("GPL");
#else
late_initcall(zoo_init);
#endif
