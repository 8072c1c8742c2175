// SPDX-License-Identifier: MIT
/*
 * Collects and prints diagnostics. Called from [main] only. Messages are copied in, so a list may be printed
 * after everything it speaks of is gone. Source lines are untrusted text: control characters are not printed.
 */
#include "kernel/config/diag.h"

#include <glib.h>
#include <string.h>

#include "kernel/config/json.h"

/* A longer source line would hide the messages around it. */
#define DIAG_TEXT_MAX 300u

struct diag_message {
	enum diag_level level;
	char *file, *text, *section, *message, *hint;
	int line, column, width;
	unsigned file_rank, order;
};

struct diag {
	GPtrArray *messages;
	GPtrArray *files;      /* names, in order of first mention */
	unsigned errors, host_errors;
};

static void diag_message_free(void *data)
{
	struct diag_message *m = data;

	g_free(m->file);
	g_free(m->text);
	g_free(m->section);
	g_free(m->message);
	g_free(m->hint);
	g_free(m);
}

struct diag *diag_create(void)
{
	struct diag *d = g_new0(struct diag, 1);

	d->messages = g_ptr_array_new_with_free_func(diag_message_free);
	d->files = g_ptr_array_new_with_free_func(g_free);
	return d;
}

void diag_destroy(struct diag *d)
{
	if (!d)
		return;
	g_ptr_array_unref(d->messages);
	g_ptr_array_unref(d->files);
	g_free(d);
}

static unsigned diag_file_rank(struct diag *d, const char *file)
{
	if (!file)
		return 0;
	for (unsigned i = 0; i < d->files->len; i++)
		if (!strcmp(d->files->pdata[i], file))
			return i + 1;
	g_ptr_array_add(d->files, g_strdup(file));
	return d->files->len;
}

void diag_add(struct diag *d, enum diag_level level, const struct diag_pos *pos, int width,
	      const char *section, const char *hint, const char *format, ...)
{
	struct diag_message *m = g_new0(struct diag_message, 1);
	va_list args;

	va_start(args, format);
	m->message = g_strdup_vprintf(format, args);
	va_end(args);
	m->level = level;
	m->section = g_strdup(section);
	m->hint = hint && *hint ? g_strdup(hint) : NULL;
	if (pos && pos->file) {
		m->file = g_strdup(pos->file);
		m->text = g_strdup(pos->text);
		m->line = pos->line;
		m->column = pos->column;
	}
	m->width = MAX(width, 1);
	m->file_rank = diag_file_rank(d, m->file);
	m->order = d->messages->len;
	g_ptr_array_add(d->messages, m);
	d->errors += level == DIAG_ERROR;
	d->host_errors += level == DIAG_HOST;
}

unsigned diag_errors(const struct diag *d)
{
	return d->errors + d->host_errors;
}

int diag_exit_code(const struct diag *d)
{
	return d->errors ? 2 : d->host_errors ? 3 : 0;
}

static int diag_compare(const void *pa, const void *pb)
{
	const struct diag_message *a = *(const void *const *)pa, *b = *(const void *const *)pb;

	if (a->file_rank != b->file_rank)
		return a->file_rank < b->file_rank ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

void diag_sort(struct diag *d)
{
	if (d->messages->len)
		qsort(d->messages->pdata, d->messages->len, sizeof(void *), diag_compare);
}

static const char *diag_level_name(enum diag_level level)
{
	return level == DIAG_WARNING ? "warning" : "error";
}

static void diag_print_printable(const char *text, FILE *out)
{
	char *valid = g_utf8_make_valid(text, -1);

	for (const char *p = valid; *p; p++)
		putc((unsigned char)*p < 0x20 && *p != '\t' ? '?' : *p == 0x7f ? '?' : *p, out);
	g_free(valid);
}

/* The marks start under the column: tabs are copied and the later bytes of a UTF-8 character take no room. */
static void diag_print_caret(const struct diag_message *m, FILE *out)
{
	size_t len = strlen(m->text), start = MIN((size_t)(m->column - 1), len);

	fputs("      | ", out);
	for (size_t i = 0; i < start; i++) {
		unsigned char c = (unsigned char)m->text[i];

		if ((c & 0xc0) != 0x80)
			putc(c == '\t' ? '\t' : ' ', out);
	}
	putc('^', out);
	for (size_t i = start + 1; i < start + (size_t)m->width && i < len; i++)
		if (((unsigned char)m->text[i] & 0xc0) != 0x80)
			putc('~', out);
	if (m->hint)
		fprintf(out, " %s", m->hint);
	putc('\n', out);
}

static void diag_print_one(const struct diag_message *m, FILE *out)
{
	if (m->file) {
		diag_print_printable(m->file, out);
		fprintf(out, ":%d:%d: ", m->line, m->column);
	} else {
		fputs("mortise: ", out);
	}
	fprintf(out, "%s: ", diag_level_name(m->level));
	if (m->section)
		fprintf(out, "[%s]: ", m->section);
	diag_print_printable(m->message, out);
	if (m->text && m->column > 0 && strlen(m->text) <= DIAG_TEXT_MAX) {
		fprintf(out, "\n%5d | ", m->line);
		diag_print_printable(m->text, out);
		putc('\n', out);
		diag_print_caret(m, out);
	} else if (m->hint) {
		fprintf(out, "; %s\n", m->hint);
	} else {
		putc('\n', out);
	}
}

void diag_print_text(struct diag *d, FILE *out)
{
	diag_sort(d);
	for (unsigned i = 0; i < d->messages->len; i++)
		diag_print_one(d->messages->pdata[i], out);
}

void diag_print_json(struct diag *d, FILE *out)
{
	diag_sort(d);
	putc('[', out);
	for (unsigned i = 0; i < d->messages->len; i++) {
		const struct diag_message *m = d->messages->pdata[i];

		fputs(i ? ",\n {\"file\": " : "\n {\"file\": ", out);
		json_print_string(out, m->file);
		fprintf(out, ", \"line\": %d, \"column\": %d, \"level\": \"%s\", \"section\": ", m->line, m->column,
			diag_level_name(m->level));
		json_print_string(out, m->section);
		fputs(", \"message\": ", out);
		json_print_string(out, m->message);
		fputs(", \"hint\": ", out);
		json_print_string(out, m->hint);
		putc('}', out);
	}
	fputs(d->messages->len ? "\n]\n" : "]\n", out);
}
