// SPDX-License-Identifier: MIT
/*
 * Line scanner of machine files. iniparser gives the values later, so the rule that is easy to break is that
 * both must read the same: what is accepted here is what iniparser 4.1 and 4.2 agree on, and everything that
 * they lose in silence (duplicates, cut values, joined lines, junk) is an error here. test-ini.c holds the
 * two against each other. Called from [main].
 */
#include "kernel/config/ini.h"

#include <string.h>

struct ini_scan {
	struct ini_file *file;
	struct diag *d;
	struct ini_section *section;   /* of the last header, or NULL */
	char *line;                    /* the line at hand, without its end */
	int number;
	bool told_stray;               /* keys before the first header are told once */
	unsigned not_text;             /* lines that are none */
};

/* So many such lines are another kind of file, or one in another encoding: more of the same helps nobody. */
#define INI_NOT_TEXT_MAX 20u

bool ini_key_is_legal(const char *name)
{
	if (!g_ascii_islower(*name))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name);
}

bool ini_id_is_legal(const char *name)
{
	return ini_key_is_legal(name) && !strchr(name, '.');
}

static struct diag_pos ini_pos(const struct ini_scan *s, const char *at)
{
	return (struct diag_pos) { s->file->name, s->number, (int)(at - s->line) + 1, s->line };
}

static char *ini_label(const struct ini_section *sec)
{
	return sec->id ? g_strconcat(sec->kind, " ", sec->id, NULL) : g_strdup(sec->kind);
}

static void ini_error(struct ini_scan *s, const char *at, size_t width, const char *hint, const char *message)
{
	struct diag_pos pos = ini_pos(s, at);
	char *label = s->section && !s->section->bad ? ini_label(s->section) : NULL;

	if (s->section)
		s->section->damaged = true;
	diag_add(s->d, DIAG_ERROR, &pos, (int)width, label, hint, "%s", message);
	g_free(label);
}

G_GNUC_PRINTF(5, 6)
static void ini_errorf(struct ini_scan *s, const char *at, size_t width, const char *hint,
		       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *message = g_strdup_vprintf(format, args);
	va_end(args);
	ini_error(s, at, width, hint, message);
	g_free(message);
}

static char *ini_skip(char *p)
{
	return p + strspn(p, " \t");
}

/* The end of text that starts at p and ends at `end`, without trailing blanks. */
static char *ini_trim(char *p, char *end)
{
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return end;
}

/* Headers */

/* Why a header's text is not KIND or KIND ID, or NULL. `at` gets the byte at fault. */
static const char *ini_header_fault(char *text, char **at, const char **hint)
{
	char *bad = strpbrk(text, "\"'");

	*hint = NULL;
	*at = bad;
	if (bad)
		return *hint = "write [device uart0]", "a header has no quotes";
	*at = bad = strpbrk(text, ":.");
	if (bad)
		return "a header has no colon and no dot";
	for (*at = text; **at; ++*at)
		if (g_ascii_isupper(**at))
			return "a header is lower case";
	*at = bad = text + strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_- ");
	if (*bad)
		return "a header holds letters, digits, '-' and '_' only";
	*at = text;
	if (!*text)
		return *hint = "write [KIND] or [KIND ID]", "an empty header";
	char *blank = strchr(text, ' ');

	*at = blank ? blank : text;
	*hint = "write [KIND] or [KIND ID], with one blank between";
	if (blank && (blank == text || strchr(blank + 1, ' ') || !blank[1]))
		return blank[1] && blank[1] != ' ' && blank != text ? "a header has two words at most"
								     : "blanks in a header";
	*hint = "an id is a letter, then letters, digits, '-' and '_'";
	*at = blank ? blank + 1 : text;
	return g_ascii_islower(**at) ? NULL : "an id starts with a letter";
}

static struct ini_section *ini_section_seen(const struct ini_file *file, const char *kind, const char *id)
{
	for (unsigned i = 0; i < file->sections->len; i++) {
		struct ini_section *sec = file->sections->pdata[i];

		if (!sec->bad && !strcmp(sec->kind, kind) && !g_strcmp0(sec->id, id))
			return sec;
	}
	return NULL;
}

static void ini_section_free(void *data)
{
	struct ini_section *sec = data;

	g_free(sec->kind);
	g_free(sec->id);
	g_ptr_array_unref(sec->keys);
	g_free(sec);
}

static void ini_key_free(void *data)
{
	struct ini_key *key = data;

	g_free(key->name);
	g_free(key->value);
	g_free(key);
}

/* Keys behind a bad header still need a section to stand in, or each would be told as a stray. */
static void ini_section_open(struct ini_scan *s, char *at, const char *text, bool bad)
{
	struct ini_section *sec = g_new0(struct ini_section, 1);
	const char *blank = strchr(text, ' ');

	sec->bad = bad;
	sec->kind = blank && !bad ? g_strndup(text, (size_t)(blank - text)) : g_strdup(text);
	sec->id = blank && !bad ? g_strdup(blank + 1) : NULL;
	sec->pos = ini_pos(s, at);
	sec->keys = g_ptr_array_new_with_free_func(ini_key_free);
	g_ptr_array_add(s->file->sections, sec);
	s->section = sec;
}

static void ini_scan_header(struct ini_scan *s, char *at)
{
	char *close = strchr(at, ']');
	const char *hint;
	char *bad;

	s->section = NULL;
	if (!close) {
		ini_error(s, at, strlen(at), NULL, "a header without ']'");
		ini_section_open(s, at, at + 1, true);
		return;
	}
	char *rest = ini_skip(close + 1), *text = g_strndup(at + 1, (size_t)(close - at - 1));
	const char *fault = ini_header_fault(text, &bad, &hint);

	if (fault)
		ini_error(s, at + 1 + (bad - text), 1, hint, fault);
	if (*rest)
		ini_error(s, rest, strlen(rest), *rest == ';' || *rest == '#' ?
			  "put the comment on a line of its own" : NULL, "text after the header");
	ini_section_open(s, at, text, fault != NULL);
	s->section->damaged = *rest;
	if (!fault) {
		struct ini_section *first = ini_section_seen(s->file, s->section->kind, s->section->id);

		if (first != s->section) {
			s->section->bad = true;
			ini_errorf(s, at, strlen(text) + 2, "one section holds all its keys",
				   "[%s] stands twice; first in line %d", text, first->pos.line);
		}
	}
	g_free(text);
}

/* Values */

/* The value of a quoted text at p, or NULL after telling what is wrong with it. */
static char *ini_scan_quoted(struct ini_scan *s, char *p)
{
	char quote = *p, *close = strchr(p + 1, quote), *back = strchr(p + 1, '\\');

	if (!close) {
		ini_error(s, p, strlen(p), NULL, "a quote that is not closed");
		return NULL;
	}
	if (back && back < close) {
		ini_error(s, back, 1, "readers differ on it; write the value without quotes",
			  "a backslash in a quoted value");
		return NULL;
	}
	char *rest = ini_skip(close + 1);

	if (*rest && *rest != ';' && *rest != '#') {
		ini_error(s, rest, strlen(rest), "a value with quotes in it stands in the other kind of quotes",
			  "text after the closing quote");
		return NULL;
	}
	return g_strndup(p + 1, (size_t)(close - p - 1));
}

static char *ini_scan_bare(struct ini_scan *s, char *p)
{
	char *mark = p + strcspn(p, ";#");

	if (*mark && mark > p && mark[-1] != ' ' && mark[-1] != '\t') {
		ini_errorf(s, mark, 1, "quote the value, or put a blank before the comment",
			   "the value ends at '%c'", *mark);
		return NULL;
	}
	return g_strndup(p, (size_t)(ini_trim(p, mark) - p));
}

static bool ini_key_fault(struct ini_scan *s, char *p, const char *name)
{
	char *lower = g_ascii_strdown(name, -1), *hint = NULL;
	bool bad = true;

	if (!*name) {
		ini_error(s, p, 1, NULL, "no key before '='");
	} else if (strcmp(lower, name)) {
		hint = g_strdup_printf("did you mean '%s'?", lower);
		ini_errorf(s, p, strlen(name), hint, "key '%s' is not lower case", name);
	} else if (!ini_key_is_legal(name)) {
		ini_errorf(s, p, strlen(name), "a key is a letter, then letters, digits, '.', '-' and '_'",
			   "'%s' cannot be a key", name);
	} else {
		bad = false;
	}
	g_free(hint);
	g_free(lower);
	return bad;
}

static void ini_key_store(struct ini_scan *s, char *p, const char *name, char *value, char *value_at)
{
	struct ini_section *sec = s->section;

	for (unsigned i = 0; i < sec->keys->len; i++) {
		const struct ini_key *seen = sec->keys->pdata[i];

		if (strcmp(seen->name, name))
			continue;
		ini_errorf(s, p, strlen(name), "a list has numbered keys: name.1, name.2",
			   "'%s' stands twice; first in line %d", name, seen->pos.line);
		g_free(value);
		return;
	}
	struct ini_key *key = g_new0(struct ini_key, 1);

	key->name = g_strdup(name);
	key->value = value;
	key->pos = ini_pos(s, p);
	key->value_pos = ini_pos(s, value_at);
	g_ptr_array_add(sec->keys, key);
}

static void ini_scan_key(struct ini_scan *s, char *p)
{
	char *equals = strchr(p, '=');

	if (!s->section) {
		if (!s->told_stray)
			ini_error(s, p, strlen(p), NULL, "text before the first [section]");
		s->told_stray = true;
		return;
	}
	if (!equals) {
		ini_error(s, p, strlen(p), "a line is [section], key = value, or a comment", "no '=' in this line");
		return;
	}
	char *name = g_strndup(p, (size_t)(ini_trim(p, equals) - p)), *at = ini_skip(equals + 1);
	bool bad = ini_key_fault(s, p, name), quoted = *at == '"' || *at == '\'';
	char *value = quoted ? ini_scan_quoted(s, at) : ini_scan_bare(s, at);

	if (value && !bad && !s->section->bad)
		ini_key_store(s, p, name, value, quoted ? at + 1 : at);
	else
		g_free(value);
	g_free(name);
}

/* Lines */

/* Bytes that no line may hold. `len` may reach behind a NUL byte. */
static bool ini_line_is_text(struct ini_scan *s, size_t len)
{
	const char *end;

	if (strlen(s->line) < len) {
		ini_error(s, s->line + strlen(s->line), 1, "is this a machine file?", "a NUL byte");
		return false;
	}
	if (!g_utf8_validate(s->line, (gssize)len, &end)) {
		ini_errorf(s, end, 1, "save the file as UTF-8", "byte 0x%02x is not UTF-8", (unsigned char)*end);
		return false;
	}
	for (const char *p = s->line; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f) {
			ini_errorf(s, p, 1, NULL, "control character 0x%02x", (unsigned char)*p);
			return false;
		}
	return true;
}

static void ini_scan_line(struct ini_scan *s, size_t len)
{
	if (!ini_line_is_text(s, len)) {
		s->not_text++;
		return;
	}
	if (len > INI_LINE_MAX) {
		ini_errorf(s, s->line + INI_LINE_MAX, 1, NULL, "a line of %zu bytes; at most %d are read", len,
			   INI_LINE_MAX);
		return;
	}
	char *p = ini_skip(s->line), *end = ini_trim(s->line, s->line + len);

	if (end > p && end[-1] == '\\') {
		ini_error(s, end - 1, 1, "lines are not joined", "a backslash at the end of a line");
		return;
	}
	if (!*p || *p == ';' || *p == '#')
		return;
	*end = '\0';
	if (*p == '[')
		ini_scan_header(s, p);
	else
		ini_scan_key(s, p);
}

/* Skips a byte order mark; false when the text is in an encoding that has no lines for us. */
static bool ini_scan_mark(struct ini_scan *s, const char **text, size_t *len)
{
	bool utf8 = *len >= 3 && !memcmp(*text, "\xef\xbb\xbf", 3);
	bool utf16 = *len >= 2 && (!memcmp(*text, "\xff\xfe", 2) || !memcmp(*text, "\xfe\xff", 2));
	struct diag_pos pos = { s->file->name, 1, 1, NULL };

	if (utf8) {
		diag_add(s->d, DIAG_ERROR, &pos, 1, NULL, "save the file as UTF-8 without it",
			 "the file starts with a byte order mark");
		*text += 3;
		*len -= 3;
	}
	if (utf16)
		diag_add(s->d, DIAG_ERROR, &pos, 1, NULL, "save it as UTF-8", "the file is UTF-16");
	return !utf16;
}

struct ini_file *ini_scan(const char *name, const char *text, size_t len, struct diag *d)
{
	struct ini_file *file = g_new0(struct ini_file, 1);
	struct ini_scan s = { .file = file, .d = d };

	file->name = g_strdup(name);
	file->lines = g_ptr_array_new_with_free_func(g_free);
	file->sections = g_ptr_array_new_with_free_func(ini_section_free);
	if (!ini_scan_mark(&s, &text, &len))
		return file;
	while (len && s.not_text < INI_NOT_TEXT_MAX) {
		const char *newline = memchr(text, '\n', len);
		size_t line_len = newline ? (size_t)(newline - text) : len, used = line_len + (newline ? 1 : 0);

		if (line_len && text[line_len - 1] == '\r')
			line_len--;
		s.line = g_malloc(line_len + 1);
		memcpy(s.line, text, line_len);
		s.line[line_len] = '\0';
		g_ptr_array_add(file->lines, s.line);
		s.number++;
		ini_scan_line(&s, line_len);
		text += used;
		len -= used;
	}
	if (len)
		ini_error(&s, s.line, 1, NULL, "the last line that is read: too much of this file is no text");
	return file;
}

void ini_free(struct ini_file *file)
{
	if (!file)
		return;
	g_ptr_array_unref(file->sections);
	g_ptr_array_unref(file->lines);
	g_free(file->name);
	g_free(file);
}

char *ini_quote(const char *value)
{
	size_t len = strlen(value);
	bool blank_ends = len && (strchr(" \t", value[0]) || strchr(" \t", value[len - 1]));

	if (len && !blank_ends && *value != '"' && *value != '\'' && value[len - 1] != '\\' &&
	    !strpbrk(value, ";#"))
		return g_strdup(value);
	if (!strchr(value, '\\') && !strchr(value, '"'))
		return g_strconcat("\"", value, "\"", NULL);
	if (!strchr(value, '\\') && !strchr(value, '\''))
		return g_strconcat("'", value, "'", NULL);
	return NULL;
}

const char *ini_text_fault(const char *value)
{
	if (!g_utf8_validate(value, -1, NULL))
		return "the value is not UTF-8";
	for (const char *p = value; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return "the value holds a control character";
	return NULL;
}
