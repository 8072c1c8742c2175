/* SPDX-License-Identifier: MIT */
/*
 * Prints a device tree blob as source. [main], no state. A property does not say what type it has: text is
 * what consists of printable strings, cells what has a length of whole cells, everything else bytes.
 */
#include <libfdt.h>
#include <string.h>

#include "kernel/machine/services.h"

/* One or more strings of printable characters, none of them empty. */
static bool is_text(const char *data, int len)
{
	int start = 0;

	if (len < 2 || data[len - 1])
		return false;
	for (int i = 0; i < len; i++) {
		if (data[i] == 0 && i == start)
			return false;
		if (data[i] == 0)
			start = i + 1;
		else if ((unsigned char)data[i] < 0x20 || (unsigned char)data[i] > 0x7e)
			return false;
	}
	return true;
}

static void print_text(const char *data, int len, FILE *out)
{
	fputs(" = \"", out);
	for (int i = 0; i + 1 < len; i++) {
		if (data[i] == 0)
			fputs("\", \"", out);
		else if (data[i] == '"' || data[i] == '\\')
			fprintf(out, "\\%c", data[i]);
		else
			fputc(data[i], out);
	}
	fputc('"', out);
}

static void print_cells(const char *data, int len, FILE *out)
{
	fputs(" = <", out);
	for (int i = 0; i < len; i += 4) {
		fdt32_t cell;

		memcpy(&cell, data + i, sizeof(cell));
		fprintf(out, "%s0x%02x", i ? " " : "", fdt32_to_cpu(cell));
	}
	fputc('>', out);
}

static void print_bytes(const char *data, int len, FILE *out)
{
	fputs(" = [", out);
	for (int i = 0; i < len; i++)
		fprintf(out, "%s%02x", i ? " " : "", (unsigned char)data[i]);
	fputc(']', out);
}

static void indent(int depth, FILE *out)
{
	for (int i = 0; i < depth; i++)
		fputc('\t', out);
}

static bool print_props(const void *blob, int node, int depth, FILE *out)
{
	int at;

	fdt_for_each_property_offset(at, blob, node) {
		const char *name;
		int len;
		const char *data = fdt_getprop_by_offset(blob, at, &name, &len);

		if (!data)
			return false;
		indent(depth, out);
		fputs(name, out);
		if (len && is_text(data, len))
			print_text(data, len, out);
		else if (len && len % 4 == 0)
			print_cells(data, len, out);
		else if (len)
			print_bytes(data, len, out);
		fputs(";\n", out);
	}
	return true;
}

static bool print_node(const void *blob, int node, int depth, FILE *out)
{
	const char *name = fdt_get_name(blob, node, NULL);
	int child;

	if (!name)
		return false;
	indent(depth, out);
	fprintf(out, "%s {\n", name[0] ? name : "/");
	if (!print_props(blob, node, depth + 1, out))
		return false;
	fdt_for_each_subnode(child, blob, node) {
		fputc('\n', out);
		if (!print_node(blob, child, depth + 1, out))
			return false;
	}
	indent(depth, out);
	fputs("};\n", out);
	return true;
}

bool dts_print(const void *blob, FILE *out)
{
	if (fdt_check_header(blob) < 0)
		return false;
	fputs("/dts-v1/;\n\n", out);
	return print_node(blob, 0, 0, out) && fflush(out) == 0 && !ferror(out);
}
