// SPDX-License-Identifier: GPL-2.0-only
/*
 * A crash zoo: one trigger for each kind of report that the console analysis knows and LKDTM has no trigger for.
 *
 * Write a trigger's name to /proc/lab-zoo. Beside each stands the title that its report must get; ci/zoo reads it from here.
 * Builds for 3.7 and for 6.1.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
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
#include <linux/workqueue.h>

#define MODERN (LINUX_VERSION_CODE >= KERNEL_VERSION(5, 0, 0))

/* Keeps the call before it from becoming a jump, which no trace shows. */
#define ZOO_STAY() asm volatile("" ::: "memory")

static DEFINE_MUTEX(zoo_mutex_a);
static DEFINE_MUTEX(zoo_mutex_b);
static DEFINE_SPINLOCK(zoo_spin_a);
static DEFINE_SPINLOCK(zoo_spin_b);
static volatile int zoo_zero;
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

static noinline void zoo_take_in_irq(void)
{
	unsigned long flags;

	local_irq_save(flags);
#ifdef CONFIG_TRACE_IRQFLAGS
	lockdep_hardirq_enter();
#endif
	spin_lock(&zoo_spin_a);
	spin_unlock(&zoo_spin_a);
#ifdef CONFIG_TRACE_IRQFLAGS
	lockdep_hardirq_exit();
#endif
	local_irq_restore(flags);
	ZOO_STAY();
}

static noinline void zoo_take_with_irqs_on(void)
{
	spin_lock(&zoo_spin_a);
	spin_unlock(&zoo_spin_a);
	ZOO_STAY();
}

static void zoo_irq_state(void)
{
	zoo_take_in_irq();
	zoo_take_with_irqs_on();
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
	zoo_zero = p[8] & 0;
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
	volatile int at = 12;

	here[0] = 0;
	zoo_zero = here[at + zoo_zero] & 0;
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

/* objects */

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

	zoo_zero = (one << by) & 0;
}

static noinline void zoo_index(void)
{
	static volatile int array[4];
	volatile int at = 5;

	zoo_zero = array[at] & 0;
}

static noinline void zoo_divide(void)
{
	volatile int by = 0;

	zoo_zero = 100 / by;
}

static noinline void zoo_null(void)
{
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
	asm volatile(".byte 0x0f, 0xff, 0xc0");
}

static noinline void zoo_panic_text(void)
{
	panic("zoo: number %d at %p", 42, zoo_global);
	ZOO_STAY();
}

static void zoo_irq_bug_fn(void *unused)
{
	BUG();
	ZOO_STAY();
}

static noinline void zoo_irq_bug(void)
{
	smp_call_function_single(raw_smp_processor_id(), zoo_irq_bug_fn, NULL, 1);
	smp_call_function(zoo_irq_bug_fn, NULL, 1);
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

static void zoo_rcu_stall(void)
{
	rcu_read_lock();
	zoo_spin_forever();
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

static const struct zoo_trigger {
	const char *name;
	void (*run)(void);
	const char *title; /* on a kernel with KASAN, UBSAN and lockdep */
	const char *plain; /* on one without, where it shows there too */
} zoo_triggers[] = {
	{ "circular", zoo_circular, "possible deadlock in zoo_lock_ba" },
	{ "recursive", zoo_recursive, "possible deadlock in zoo_nest" },
	{ "irq-state", zoo_irq_state, "inconsistent lock state in zoo_take_with_irqs_on" },
	{ "unlock", zoo_unlock_unlocked, "WARNING: bad unlock balance in zoo_unlock_unlocked" },
	{ "return-locked", zoo_return_locked, "WARNING: lock held when returning to user space in zoo_return_locked" },
	{ "free-locked", zoo_free_locked, "WARNING: held lock freed in zoo_free_locked" },
	{ "rcu-usage", zoo_rcu_unlocked, "WARNING: suspicious RCU usage in zoo_rcu_unlocked" },
	{ "unkeyed", zoo_unkeyed, "INFO: trying to register non-static key in zoo_unkeyed" },
	{ "atomic-schedule", zoo_sleep_locked, "BUG: scheduling while atomic in zoo_sleep_locked",
	  "BUG: scheduling while atomic in zoo_sleep_locked" },
	{ "atomic-sleep", zoo_might_sleep, "BUG: sleeping function called from invalid context in zoo_might_sleep",
	  "BUG: sleeping function called from invalid context in zoo_might_sleep" },
	{ "preemptible", zoo_preemptible, "BUG: using smp_processor_id() in preemptible code in zoo_preemptible",
	  "BUG: using smp_processor_id() in preemptible code in zoo_preemptible" },
	{ "bad-magic", zoo_bad_magic, "BUG: spinlock bad magic in zoo_bad_magic" },
	{ "oob", zoo_oob, "KASAN: slab-out-of-bounds Write in zoo_oob" },
	{ "uaf", zoo_uaf, "KASAN: use-after-free Read in zoo_uaf" },
	{ "double-free", zoo_double_free, "KASAN: double-free in zoo_double_free" },
	{ "copy-oob", zoo_copy_oob, "KASAN: slab-out-of-bounds Read in zoo_copy_oob" },
	{ "stack-oob", zoo_stack_oob, "KASAN: stack-out-of-bounds Read in zoo_stack_oob" },
	{ "global-oob", zoo_global_oob, "KASAN: global-out-of-bounds Read in zoo_global_oob" },
	{ "bad-page", zoo_free_page_in_use, "BUG: Bad page state in zoo_free_page_in_use",
	  "BUG: Bad page state in zoo_free_page_in_use" },
	{ "alloc-failure", zoo_huge_alloc, "page allocation failure in zoo_huge_alloc",
	  "page allocation failure in zoo_huge_alloc" },
	{ "kmalloc", zoo_impossible_kmalloc, "WARNING in __alloc_pages",
	  "WARNING in __alloc_pages" },
	{ "leak", zoo_leak, "memory leak in zoo_leak" },
	{ "odebug", zoo_free_active_timer, "WARNING: ODEBUG bug in zoo_free_active_timer" },
	{ "proc-twice", zoo_proc_twice, "WARNING: proc registration bug in zoo_proc_twice",
	  "WARNING: proc registration bug in zoo_proc_twice" },
	{ "kobject-twice", zoo_kobject_twice, "" },
	{ "shift", zoo_shift, "UBSAN: shift-out-of-bounds in zoo_shift" },
	{ "index", zoo_index, "UBSAN: array-index-out-of-bounds in zoo_index" },
	{ "divide", zoo_divide, "divide error in zoo_divide",
	  "divide error in zoo_divide" },
	{ "null", zoo_null, "BUG: unable to handle kernel NULL pointer dereference in zoo_null",
	  "BUG: unable to handle kernel NULL pointer dereference in zoo_null" },
	{ "paging", zoo_paging, "BUG: unable to handle kernel paging request in zoo_paging",
	  "BUG: unable to handle kernel paging request in zoo_paging" },
	{ "gpf", zoo_gpf, "general protection fault in zoo_gpf",
	  "general protection fault in zoo_gpf" },
	{ "opcode", zoo_opcode, "invalid opcode in zoo_opcode",
	  "invalid opcode in zoo_opcode" },
	{ "panic-text", zoo_panic_text, "kernel panic: zoo: number NUM at ADDR",
	  "kernel panic: zoo: number NUM at ADDR" },
	{ "irq-bug", zoo_irq_bug, "kernel BUG in zoo_irq_bug_fn",
	  "kernel BUG in zoo_irq_bug_fn" },
	{ "soft-lockup", zoo_soft_lockup, "BUG: soft lockup in sys_write",
	  "BUG: soft lockup in sys_write" },
	{ "rcu-stall", zoo_rcu_stall, "INFO: rcu detected stall in sys_write",
	  "INFO: rcu detected stall in sys_write" },
	{ "hung", zoo_hung, "INFO: task hung in zoo_hung",
	  "INFO: task hung in zoo_hung" },
	{ "hung-mutex", zoo_hung_mutex, "INFO: task hung in zoo_hung_mutex",
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
		zoo_triggers[i].run();
		return size;
	}
	return -ENOENT;
}

#if MODERN
static const struct proc_ops zoo_fops = { .proc_write = zoo_write };
#else
static const struct file_operations zoo_fops = { .write = zoo_write };
#define lockdep_hardirq_enter trace_hardirq_enter
#define lockdep_hardirq_exit trace_hardirq_exit
#endif

static int __init zoo_init(void)
{
	return proc_create("lab-zoo", 0200, NULL, &zoo_fops) ? 0 : -ENOMEM;
}
late_initcall(zoo_init);
