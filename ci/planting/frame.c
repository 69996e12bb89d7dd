// SPDX-License-Identifier: GPL-2.0-only
/* Where bugs are planted: one small file, so that a step along a series compiles little. */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <asm/timex.h>

int planted_sum;
int planted_armed;
void planted_early(void);

/* True in that many percent of boots: the time stamp counter of a guest is never the same twice. */
static inline int planted_dice(unsigned int percent)
{
	u64 mixed = get_cycles() * 0x9E3779B97F4A7C15ULL;

	return (mixed >> 33) % 100 < percent;
}

/* Keeps a call from becoming a jump, which no trace shows. */
#define PLANTED_STAY() asm volatile("" ::: "memory")

#define PLANTED_ENTER() asm volatile("nop")
