// SPDX-License-Identifier: MIT
/* The list of snapshots; see table.h. */
#include "kernel/img/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "kernel/block/node.h"
#include "kernel/img/out.h"
#include "kernel/machine/inst.h"

static const struct mt_block_snapshots *role_of(const struct bnode *node)
{
	const struct mt_block_snapshots *role = inst_role(node->inst, MT_IFACE_BLOCK_SNAPSHOTS);

	return role && role->count && role->get ? role : NULL;
}

uint32_t table_snapshot_count(const struct bnode *node)
{
	const struct mt_block_snapshots *role = role_of(node);

	return role ? role->count(node->inst->self) : 0;
}

bool table_snapshot_get(const struct bnode *node, uint32_t index, struct mt_block_snapshot *out)
{
	*out = (struct mt_block_snapshot){ .size = sizeof(*out), .icount = UINT64_MAX };
	return role_of(node)->get(node->inst->self, index, out) == 0;
}

void table_print_text(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void print_one(const struct mt_block_snapshot *s)
{
	uint64_t seconds = s->vm_clock_ns / 1000000000;
	char size[32], date[32] = "";
	time_t when = (time_t)s->date_sec;
	struct tm local;
	int width = 0;

	printf("%-10s", s->id);
	table_print_text(s->name);
	for (const char *at = s->name; *at; at++)
		width++;
	if (localtime_r(&when, &local))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local);
	printf("%*s%8s%20s %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64, width < 17 ? 17 - width : 1, "",
	       out_size(size, s->vm_state_bytes), date, seconds / 3600, seconds / 60 % 60, seconds % 60,
	       s->vm_clock_ns / 1000000 % 1000);
	if (s->icount != UINT64_MAX)
		printf(" %" PRIu64, s->icount);
	putchar('\n');
}

void table_snapshots(const struct bnode *node)
{
	struct mt_block_snapshot s;

	puts("ID        TAG              VM SIZE                DATE     VM CLOCK     ICOUNT");
	for (uint32_t i = 0; i < table_snapshot_count(node); i++) {
		if (table_snapshot_get(node, i, &s))
			print_one(&s);
	}
}
