/* SPDX-License-Identifier: MIT */
/* Lines are split in place of a copy; every number is read with its limits. */
#include "descriptor.h"

#include <stdlib.h>
#include <string.h>
#include <util/error.h>

static const char first_line[] = "# Disk DescriptorFile";

int descriptor_looks_so(const uint8_t *head, uint32_t head_bytes)
{
	return head_bytes >= sizeof(first_line) - 1 && memcmp(head, first_line, sizeof(first_line) - 1) == 0;
}

static char *skip_blanks(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* Cuts trailing blanks off. */
static void trim(char *s)
{
	size_t n = strlen(s);

	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
		s[--n] = 0;
}

/* Up to 18 digits, so that it fits. 0: no number. */
static int take_number(char **at, uint64_t *out)
{
	char *s = skip_blanks(*at);
	uint32_t digits = 0;

	*out = 0;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (++digits > 18)
			return 0;
		*out = *out * 10 + (uint64_t)(*s - '0');
	}
	*at = s;
	return digits && (*s == 0 || *s == ' ' || *s == '\t');
}

static char *take_word(char **at)
{
	char *word = skip_blanks(*at), *s = word;

	while (*s && *s != ' ' && *s != '\t')
		s++;
	if (*s)
		*s++ = 0;
	*at = s;
	return word;
}

/* "name with blanks"; NULL: not so, or longer than what a file can have. */
static char *take_quoted(char **at)
{
	char *s = skip_blanks(*at), *end;

	if (*s != '"')
		return NULL;
	end = strchr(++s, '"');
	if (!end || end == s || end - s >= (long)VMDK_NAME_MAX)
		return NULL;
	*end = 0;
	*at = end + 1;
	return s;
}

static int kind_of(const char *word, struct vmdk_line *line, struct mt_error *err)
{
	static const struct {
		const char *word;
		enum vmdk_kind kind;
	} kinds[] = {
		{ "FLAT", VMDK_FLAT }, { "VMFS", VMDK_FLAT }, { "ZERO", VMDK_ZERO }, { "SPARSE", VMDK_SPARSE },
		{ "VMFSSPARSE", VMDK_COWD },
	};

	for (uint32_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(word, kinds[i].word) == 0) {
			line->kind = kinds[i].kind;
			line->word = kinds[i].word;
			return 0;
		}
	}
	return mt_error_set(err, MT_ENOTSUP, "file", "VMDK extents of type '%.20s' are not supported", word);
}

static int access_of(const char *word, struct vmdk_line *line)
{
	line->readonly = strcmp(word, "RDONLY") == 0;
	return line->readonly || strcmp(word, "RW") == 0;
}

/* RW 4192256 FLAT "disk-f001.vmdk" 0 */
static int parse_extent(struct vmdk_line *line, char *s, struct mt_error *err)
{
	char *name = NULL;
	int rc;

	if (!access_of(take_word(&s), line))
		return mt_error_set(err, MT_ENOTSUP, "file", "a VMDK extent may not be accessed");
	if (!take_number(&s, &line->sectors) || !line->sectors || line->sectors > UINT64_MAX >> 12)
		return mt_error_set(err, MT_EINVAL, "file", "a VMDK extent has no legal size");
	rc = kind_of(take_word(&s), line, err);
	if (rc < 0 || line->kind == VMDK_ZERO)
		return rc;
	name = take_quoted(&s);
	if (!name)
		return mt_error_set(err, MT_EINVAL, "file", "a VMDK extent has no legal name");
	s = skip_blanks(s);
	if (line->kind == VMDK_FLAT && *s && (!take_number(&s, &line->offset_sectors) ||
					      line->offset_sectors > UINT64_MAX >> 12))
		return mt_error_set(err, MT_EINVAL, "file", "a VMDK extent has no legal offset");
	line->name = strdup(name);
	return line->name ? 0 : mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
}

static int add_extent(struct vmdk_descriptor *d, char *s, struct mt_error *err)
{
	struct vmdk_line line = { 0 };
	int rc;

	if (d->line_count == VMDK_EXTENTS_MAX)
		return mt_error_set(err, MT_ERANGE, "file", "more than %u VMDK extents", VMDK_EXTENTS_MAX);
	if (d->line_count % 16 == 0) {
		struct vmdk_line *lines = realloc(d->lines, (d->line_count + 16) * sizeof(*lines));

		if (!lines)
			return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
		d->lines = lines;
	}
	rc = parse_extent(&line, s, err);
	if (rc == 0)
		d->lines[d->line_count++] = line;
	return rc;
}

/* The value of NAME=VALUE, without quotes; NULL: another name. */
static char *value_of(char *s, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(s, name, n) != 0)
		return NULL;
	s = skip_blanks(s + n);
	if (*s != '=')
		return NULL;
	s = skip_blanks(s + 1);
	if (*s == '"') {
		char *end = strrchr(s + 1, '"');

		if (end)
			*end = 0;
		s++;
	}
	return s;
}

int descriptor_cid(const char *value, uint32_t *out)
{
	char *end;
	unsigned long long n = strtoull(value, &end, 16);

	*out = (uint32_t)n;
	return end != value && end - value <= 8 && !*end && *value != '-' && *value != '+';
}

static int parse_setting(struct vmdk_descriptor *d, char *s, const char *text, struct mt_error *err)
{
	char *value;

	if ((value = value_of(s, "CID"))) {
		if (!descriptor_cid(value, &d->cid))
			return mt_error_set(err, MT_EINVAL, "file", "the VMDK descriptor has no legal CID");
		d->cid_at = (uint32_t)(value - text);
		d->cid_digits = (uint32_t)strlen(value);
	} else if ((value = value_of(s, "parentCID"))) {
		if (!descriptor_cid(value, &d->parent_cid))
			return mt_error_set(err, MT_EINVAL, "file", "the VMDK descriptor has no legal parentCID");
		d->parent_cid_at = (uint32_t)(value - text);
		d->parent_cid_digits = (uint32_t)strlen(value);
	} else if ((value = value_of(s, "createType"))) {
		snprintf(d->create_type, sizeof(d->create_type), "%s", value);
	} else if ((value = value_of(s, "parentFileNameHint"))) {
		if (d->parent_name || strlen(value) >= VMDK_NAME_MAX)
			return mt_error_set(err, MT_EINVAL, "file", "the VMDK descriptor's parent has no legal name");
		d->parent_name = strdup(value);
		if (!d->parent_name)
			return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	}
	return 0;
}

static int is_extent(const char *s)
{
	return strncmp(s, "RW ", 3) == 0 || strncmp(s, "RDONLY ", 7) == 0 || strncmp(s, "NOACCESS ", 9) == 0;
}

static int parse_lines(struct vmdk_descriptor *d, char *text, struct mt_error *err)
{
	int rc = 0;

	for (char *s = text, *next; rc == 0 && s; s = next) {
		char *line;

		next = strchr(s, '\n');
		if (next)
			*next++ = 0;
		trim(s);
		line = skip_blanks(s);
		if (is_extent(line))
			rc = add_extent(d, line, err);
		else if (*line != '#' && *line)
			rc = parse_setting(d, line, text, err);
	}
	return rc;
}

int descriptor_parse(struct vmdk_descriptor *d, const char *text, uint32_t len, struct mt_error *err)
{
	char *copy;
	int rc;

	*d = (struct vmdk_descriptor){ .parent_cid = VMDK_NO_PARENT };
	if (len > VMDK_TEXT_MAX)
		return mt_error_set(err, MT_ERANGE, "file", "the VMDK descriptor is longer than %u bytes", VMDK_TEXT_MAX);
	if (!descriptor_looks_so((const uint8_t *)text, len))
		return mt_error_set(err, MT_EINVAL, "file", "this is no VMDK descriptor: its first line is not '%s'",
				    first_line);
	copy = malloc(len + 1);
	if (!copy)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	memcpy(copy, text, len);
	copy[len] = 0;
	rc = parse_lines(d, copy, err);
	free(copy);
	if (rc == 0 && !d->line_count)
		rc = mt_error_set(err, MT_EINVAL, "file", "the VMDK descriptor names no extent");
	return rc;
}

void descriptor_fini(struct vmdk_descriptor *d)
{
	for (uint32_t i = 0; i < d->line_count; i++)
		free(d->lines[i].name);
	free(d->lines);
	free(d->parent_name);
	*d = (struct vmdk_descriptor){ .parent_cid = VMDK_NO_PARENT };
}
