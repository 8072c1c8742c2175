// SPDX-License-Identifier: MIT
/* General queries of the protocol: what this side supports, the threads, documents that are read in pieces. */
#include <stdlib.h>
#include <string.h>

#include "kernel/monitor/gdb-parts.h"

static void supported(struct gdb *g, const char *p)
{
	g->told_swbreak = strstr(p, "swbreak+") != NULL;
	g->told_hwbreak = strstr(p, "hwbreak+") != NULL;
	g_string_append_printf(g->reply, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;"
			       "qXfer:threads:read+;vContSupported+;swbreak+;hwbreak+", PACKET_BYTES);
}

static void start_silent(struct gdb *g, const char *p)
{
	(void)p;
	g->silent = true;
	gdb_ok(g);
}

static void attached(struct gdb *g, const char *p)
{
	(void)p;
	g_string_append_c(g->reply, '1');
}

static void current(struct gdb *g, const char *p)
{
	(void)p;
	g_string_append_printf(g->reply, "QC%x", g->cpu + 1);
}

static void threads_first(struct gdb *g, const char *p)
{
	(void)p;
	for (uint32_t i = 0; i < vcpus_count(g->vcpus); i++)
		g_string_append_printf(g->reply, "%c%x", i ? ',' : 'm', i + 1);
}

/* The first answer had them all: up to 1024 of four digits. */
static void threads_next(struct gdb *g, const char *p)
{
	(void)p;
	g_string_append_c(g->reply, 'l');
}

static void thread_text(struct gdb *g, const char *p)
{
	char text[32];
	uint32_t cpu;

	if (!gdb_take_thread(g, &p, &cpu, g->cpu)) {
		gdb_error(g, 22);
		return;
	}
	g_snprintf(text, sizeof(text), "vcpu%u", cpu);
	packet_put_hex(g->reply, text, strlen(text));
}

/* The part offset,length of a document. */
static void transfer(struct gdb *g, const char *text, const char *p)
{
	uint64_t offset, len, all = strlen(text);

	if (!packet_take_number(&p, &offset) || !packet_take(&p, ',') || !packet_take_number(&p, &len)) {
		gdb_error(g, 22);
		return;
	}
	offset = MIN(offset, all);
	/* half of what fits: a byte may become two */
	len = MIN(MIN(len, all - offset), PACKET_BYTES / 2);
	g_string_append_c(g->reply, offset + len < all ? 'm' : 'l');
	g_string_append_len(g->reply, text + offset, (gssize)len);
}

static void features(struct gdb *g, const char *p)
{
	if (!g_str_has_prefix(p, "target.xml:")) {
		gdb_error(g, 0);
		return;
	}
	if (!g->xml) {
		uint64_t bytes = g->debug->description(g->m->cpu->self, NULL, 0) + 1;

		g->xml = g_malloc0(bytes);
		g->debug->description(g->m->cpu->self, g->xml, bytes);
	}
	transfer(g, g->xml, p + strlen("target.xml:"));
}

static void threads(struct gdb *g, const char *p)
{
	GString *text = g_string_new("<?xml version=\"1.0\"?>\n<threads>\n");

	for (uint32_t i = 0; i < vcpus_count(g->vcpus); i++)
		g_string_append_printf(text, "<thread id=\"%x\" core=\"%u\" name=\"vcpu%u\"/>\n", i + 1,
				       i, i);
	g_string_append(text, "</threads>\n");
	transfer(g, text->str, p);
	g_string_free(text, TRUE);
}

/* qRcmd,HEX */
static void command(struct gdb *g, const char *p)
{
	size_t len = strlen(p) / 2;
	char *text = g_malloc0(len + 1);

	if (packet_take_hex(&p, text, len))
		gdb_monitor(g, text);
	else
		gdb_error(g, 22);
	g_free(text);
}

static const struct { const char *name; void (*serve)(struct gdb *g, const char *p); } queries[] = {
	{ "qSupported", supported }, { "QStartNoAckMode", start_silent }, { "qAttached", attached },
	{ "qfThreadInfo", threads_first }, { "qsThreadInfo", threads_next },
	{ "qThreadExtraInfo,", thread_text },
	{ "qXfer:features:read:", features }, { "qXfer:threads:read::", threads }, { "qRcmd,", command },
};

void gdb_query(struct gdb *g, const char *p)
{
	if (!strcmp(p, "qC")) {
		current(g, p);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(queries); i++)
		if (g_str_has_prefix(p, queries[i].name)) {
			queries[i].serve(g, p + strlen(queries[i].name));
			return;
		}
}
