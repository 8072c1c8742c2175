// SPDX-License-Identifier: MIT
/*
 * Guest-physical addresses: overlaps, and the map that `check --map` prints. A region's length comes from the
 * note (range column of an ADDR property), so it is known before any plugin runs; one without length is an
 * address and no region. The unit column says which space an address is of ("" = memory). [main] only.
 */
#include <string.h>

#include "kernel/load/check-parts.h"
#include "kernel/config/json.h"
#include "kernel/load/note-rules.h"

struct map_region {
	struct check_use use;
	uint64_t start, len;           /* len 0: an address only */
};

#define MAP_X "0x%" G_GINT64_MODIFIER "x"
#define MAP_PAGE 4096u

static uint64_t map_len(const struct check_use *use)
{
	uint64_t len = 0;

	if (use->sec->kind == CONFIG_MEMORY)
		section_get_size(use->sec, "size", &len, NULL);
	else
		len = note_region_bytes(use->prop);
	return len;
}

/* Every ADDR key that parses, in file order. */
static GArray *map_collect(const struct check *c)
{
	GArray *regions = g_array_new(FALSE, FALSE, sizeof(struct map_region));
	GArray *uses = check_uses_of(c, MT_PROP_ADDR);

	for (unsigned i = 0; i < uses->len; i++) {
		struct map_region region = { .use = g_array_index(uses, struct check_use, i) };

		if (!value_parse_int(region.use.key->value, &region.start, NULL))
			continue;
		region.len = map_len(&region.use);
		g_array_append_val(regions, region);
	}
	g_array_unref(uses);
	return regions;
}

static bool map_wraps(const struct map_region *r)
{
	return r->len && r->start > UINT64_MAX - (r->len - 1);
}

static bool map_overlaps(const struct map_region *a, const struct map_region *b)
{
	if (!a->len || !b->len || map_wraps(a) || map_wraps(b) || strcmp(a->use.prop->unit, b->use.prop->unit))
		return false;
	return a->start <= b->start + (b->len - 1) && b->start <= a->start + (a->len - 1);
}

static void map_tell_overlap(struct check *c, const struct map_region *r, const struct map_region *other)
{
	struct value_fault fault = { .len = strlen(r->use.key->value) };
	char place[256];

	check_place(place, &r->use.key->pos, &other->use.key->pos);
	g_snprintf(fault.message, sizeof(fault.message),
		   MAP_X "+" MAP_X " overlaps [%.64s] " MAP_X "+" MAP_X "%.60s", r->start, r->len,
		   other->use.sec->label, other->start, other->len, place);
	key_error(c->d, r->use.sec, r->use.key, &fault, NULL, NULL);
}

static void map_check_memory(struct check *c, const struct map_region *r)
{
	const struct config_key *size = section_get(r->use.sec, "size");

	if (r->start % MAP_PAGE)
		key_error(c->d, r->use.sec, r->use.key, NULL, NULL, "memory starts at a multiple of 4K");
	if (r->len % MAP_PAGE && size)
		key_error(c->d, r->use.sec, size, NULL, NULL, "memory is a multiple of 4K long");
}

void check_map(struct check *c)
{
	GArray *regions = map_collect(c);

	for (unsigned i = 0; i < regions->len; i++) {
		const struct map_region *r = &g_array_index(regions, struct map_region, i);

		if (r->use.sec->kind == CONFIG_MEMORY)
			map_check_memory(c, r);
		if (map_wraps(r))
			key_error(c->d, r->use.sec, r->use.key, NULL, NULL,
				  "the region does not end within 64 bits of address");
		for (unsigned k = 0; k < i; k++) {
			const struct map_region *other = &g_array_index(regions, struct map_region, k);

			if (!map_overlaps(r, other))
				continue;
			map_tell_overlap(c, r, other);
			break;
		}
	}
	g_array_unref(regions);
}

/* Printing */

static int map_compare(const void *pa, const void *pb)
{
	const struct map_region *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->len < b->len) - (a->len > b->len);
}

static void map_print_regions(const struct check *c, FILE *out)
{
	GArray *regions = map_collect(c);

	g_array_sort(regions, map_compare);
	fprintf(out, "%-18s %-18s %-10s %-24s %s\n", "FIRST", "LAST", "BYTES", "SECTION", "KEY");
	for (unsigned i = 0; i < regions->len; i++) {
		const struct map_region *r = &g_array_index(regions, struct map_region, i);
		char last[24] = "-", bytes[24] = "-";

		if (r->len) {
			g_snprintf(last, sizeof(last), "0x%016" G_GINT64_MODIFIER "x", r->start + (r->len - 1));
			g_snprintf(bytes, sizeof(bytes), MAP_X, r->len);
		}
		fprintf(out, "0x%016" G_GINT64_MODIFIER "x %-18s %-10s %-24s %s%s%s\n", r->start, last, bytes,
			r->use.sec->label, r->use.key->name, *r->use.prop->unit ? " in " : "", r->use.prop->unit);
	}
	g_array_unref(regions);
}

static void map_print_irqs(const struct check *c, FILE *out)
{
	GArray *uses = check_uses_of(c, MT_PROP_IRQ);

	if (uses->len)
		fprintf(out, "\n%-18s %-24s %s\n", "INTERRUPT", "SECTION", "KEY");
	for (unsigned i = 0; i < uses->len; i++) {
		const struct check_use *use = &g_array_index(uses, struct check_use, i);
		GPtrArray *items = section_get_list(use->sec, use->prop->name);

		for (unsigned k = 0; k < items->len; k++) {
			const struct config_item *item = items->pdata[k];

			if (item->key == use->key)
				fprintf(out, "%-18s %-24s %s\n", item->text, use->sec->label, use->key->name);
		}
		g_ptr_array_unref(items);
	}
	g_array_unref(uses);
}

void check_print_map(const struct config *cfg, struct registry *reg, FILE *out)
{
	struct check c;

	check_init(&c, cfg, reg, NULL);
	map_print_regions(&c, out);
	map_print_irqs(&c, out);
	check_fini(&c);
}

/* Numbers of 64 bits are strings: a JSON number is a double to most readers. */
static void map_json_regions(const struct check *c, FILE *out)
{
	GArray *regions = map_collect(c);

	g_array_sort(regions, map_compare);
	for (unsigned i = 0; i < regions->len; i++) {
		const struct map_region *r = &g_array_index(regions, struct map_region, i);

		fprintf(out, "%s\n  {\"first\": \"" MAP_X "\", \"bytes\": \"" MAP_X "\", \"section\": ", i ? "," : "",
			r->start, r->len);
		json_print_string(out, r->use.sec->label);
		fputs(", \"key\": ", out);
		json_print_string(out, r->use.key->name);
		fputs(", \"space\": ", out);
		json_print_string(out, *r->use.prop->unit ? r->use.prop->unit : "system");
		putc('}', out);
	}
	g_array_unref(regions);
}

static void map_json_irqs(const struct check *c, FILE *out)
{
	GArray *uses = check_uses_of(c, MT_PROP_IRQ);
	bool first = true;

	for (unsigned i = 0; i < uses->len; i++) {
		const struct check_use *use = &g_array_index(uses, struct check_use, i);
		GPtrArray *items = section_get_list(use->sec, use->prop->name);

		for (unsigned k = 0; k < items->len; k++) {
			const struct config_item *item = items->pdata[k];

			if (item->key != use->key)
				continue;
			fputs(first ? "\n  {\"interrupt\": " : ",\n  {\"interrupt\": ", out);
			json_print_string(out, item->text);
			fputs(", \"section\": ", out);
			json_print_string(out, use->sec->label);
			fputs(", \"key\": ", out);
			json_print_string(out, use->key->name);
			putc('}', out);
			first = false;
		}
		g_ptr_array_unref(items);
	}
	g_array_unref(uses);
}

void check_print_map_json(const struct config *cfg, struct registry *reg, FILE *out)
{
	struct check c;

	check_init(&c, cfg, reg, NULL);
	fputs("{\"regions\": [", out);
	map_json_regions(&c, out);
	fputs("],\n \"interrupts\": [", out);
	map_json_irqs(&c, out);
	fputs("]}", out);
	check_fini(&c);
}
