/* SPDX-License-Identifier: MIT */
/* What a debugger stops at, and debug exceptions of the program's own: it steps through itself by its trap flag. */
#include "rt.h"

#define STEPS 3u
#define TRAP_FLAG 0x100ul
#define DR6_STEP 0x4000ul

/* for the debugger, by name */
volatile uint64_t watched, untouched;
void point(void);

static uint64_t causes;

static int own_step(struct frame *f)
{
	uint64_t dr6;

	if (f->vector != 1)
		return 0;
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	causes = irq_count[1] > 1 ? causes & dr6 : dr6;
	__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	if (irq_count[1] == STEPS)
		f->rflags &= ~TRAP_FLAG;
	return 1;
}

__attribute__((noinline)) void point(void)
{
	watched++;
}

int main(void)
{
	on_trap = own_step;
	point();
	__asm__ volatile("pushfq; orq %0, (%%rsp); popfq; nop; nop; nop; nop" : : "i"(TRAP_FLAG) : "memory", "cc");
	check("steps of its own", irq_count[1] == STEPS && causes & DR6_STEP);
	point();
	put_hex("watched ", watched);
	put("done\n");
	return 0;
}
