/* SPDX-License-Identifier: MIT */
/*
 * The `isa` property: parsing, naming, and what misa says of it (Unprivileged ISA, "ISA Extension Naming
 * Conventions"). Called on the main thread at configuration. Machines are RV64 with M, S and U mode; these
 * letters are not written in the string. Dependencies are errors, not additions, so that the text in the
 * machine file is what the guest gets.
 */
#include "isa.h"

#include <ctype.h>
#include <string.h>
#include <util/error.h>

static const struct {
	const char *name;
	uint64_t needs;
} exts_table[RV_EXTS] = {
#define RV_EXT(id, name, needs) [RV_EXT_##id] = { name, needs },
#include "isa.def"
#undef RV_EXT
};

#define NAME_BYTES 24u

/* What the profiles make mandatory (RISC-V Profiles, "RVA22U64 Profile", "RVA22S64 Profile"). */
#define RVA22U64 (RV_BIT(I) | RV_BIT(M) | RV_BIT(A) | RV_BIT(F) | RV_BIT(D) | RV_BIT(C) | RV_BIT(ZICSR) | \
		  RV_BIT(ZICNTR) | RV_BIT(ZIHPM) | RV_BIT(ZICCIF) | RV_BIT(ZICCRSE) | RV_BIT(ZICCAMOA) | \
		  RV_BIT(ZICCLSM) | RV_BIT(ZA64RS) | RV_BIT(ZIHINTPAUSE) | RV_BIT(ZBA) | RV_BIT(ZBB) | RV_BIT(ZBS) | \
		  RV_BIT(ZIC64B) | RV_BIT(ZICBOM) | RV_BIT(ZICBOP) | RV_BIT(ZICBOZ) | RV_BIT(ZFHMIN) | RV_BIT(ZKT))
#define RVA22S64 (RVA22U64 | RV_BIT(ZIFENCEI) | RV_BIT(SVBARE) | RV_BIT(SVADE) | RV_BIT(SSCCPTR) | \
		  RV_BIT(SSTVECD) | RV_BIT(SSTVALA) | RV_BIT(SSCOUNTERENW) | RV_BIT(SVPBMT) | RV_BIT(SVINVAL))

static const struct {
	const char *name;
	uint64_t exts;
} profiles[] = {
	{ "rva22u64", RVA22U64 },
	{ "rva22s64", RVA22S64 },
};

/* The text behind a word that begins `text`; NULL: it does not. */
static const char *behind_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncmp(text, word, len) == 0 && (text[len] == 0 || text[len] == '_') ? text + len : NULL;
}

static int ext_find(const char *name)
{
	for (int i = 0; i < RV_EXTS; i++)
		if (!strcmp(exts_table[i].name, name))
			return i;
	return -1;
}

/* Edit distance of two short names: one row of the usual table. */
static size_t name_distance(const char *a, const char *b)
{
	size_t row[NAME_BYTES + 1], len_b = strnlen(b, NAME_BYTES);

	for (size_t j = 0; j <= len_b; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < len_b; j++) {
			size_t best = diagonal + (a[i] != b[j]);
			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[len_b];
}

static const char *name_nearest(const char *name)
{
	const char *nearest = NULL;
	size_t best = 3;

	for (int i = 0; i < RV_EXTS; i++) {
		size_t distance = name_distance(name, exts_table[i].name);
		if (exts_table[i].name[1] && distance < best) {
			best = distance;
			nearest = exts_table[i].name;
		}
	}
	return nearest;
}

static int unknown(struct mt_error *err, const char *culprit, const char *name)
{
	const char *nearest = name_nearest(name);

	mt_error_set(err, MT_EINVAL, culprit, "unknown extension '%s'", name);
	if (nearest)
		return mt_error_hint(err, "did you mean '%s'?", nearest);
	return mt_error_hint(err, "mortise-cpu-tcg(7) lists those that there are");
}

static int add_letter(char letter, uint64_t *exts, struct mt_error *err)
{
	char name[2] = { letter, 0 };
	int ext = ext_find(name);

	if (letter == 'g') {
		*exts |= RV_BIT(I) | RV_BIT(M) | RV_BIT(A) | RV_BIT(F) | RV_BIT(D) | RV_BIT(ZICSR) |
			 RV_BIT(ZIFENCEI);
		return 0;
	}
	if (letter == 's' || letter == 'u') {
		mt_error_set(err, MT_EINVAL, "isa", "'%c' is not written in an isa string", letter);
		return mt_error_hint(err, "every hart has M, S and U mode");
	}
	if (ext < 0)
		return unknown(err, "isa", name);
	if (*exts >> ext & 1)
		return mt_error_set(err, MT_EINVAL, "isa", "extension '%c' is named twice", letter);
	*exts |= UINT64_C(1) << ext;
	return 0;
}

static int add_name(const char *start, size_t len, uint64_t *exts, struct mt_error *err)
{
	char name[NAME_BYTES + 1];
	int ext;

	if (len == 0)
		return mt_error_set(err, MT_EINVAL, "isa", "an extension name is empty");
	if (len > NAME_BYTES)
		return mt_error_set(err, MT_EINVAL, "isa", "extension name '%.32s' is too long", start);
	memcpy(name, start, len);
	name[len] = 0;
	ext = ext_find(name);
	if (ext < 0)
		return unknown(err, "isa", name);
	if (*exts >> ext & 1 && ext != RV_EXT_ZICSR && ext != RV_EXT_ZIFENCEI)
		return mt_error_set(err, MT_EINVAL, "isa", "extension '%s' is named twice", name);
	*exts |= UINT64_C(1) << ext;
	return 0;
}

int rv_isa_check(uint64_t exts, struct mt_error *err)
{
	if (!(exts & RV_BIT(I)))
		return mt_error_set(err, MT_EINVAL, "isa", "the base 'i' is missing");
	if (!(exts & RV_BIT(ZICSR))) {
		mt_error_set(err, MT_EINVAL, "isa", "'zicsr' is missing");
		return mt_error_hint(err, "privileged modes need it: append _zicsr");
	}
	for (int i = 0; i < RV_EXTS; i++) {
		uint64_t missing = exts >> i & 1 ? exts_table[i].needs & ~exts : 0;
		if (missing)
			return mt_error_set(err, MT_EINVAL, "isa", "extension '%s' needs '%s'", exts_table[i].name,
					    exts_table[__builtin_ctzll(missing)].name);
	}
	return 0;
}

int rv_isa_remove(const char *name, uint64_t *exts, struct mt_error *err)
{
	int ext = ext_find(name);

	if (ext < 0)
		return unknown(err, "ext-off", name);
	*exts &= ~(UINT64_C(1) << ext);
	return 0;
}

/* A word that stands for many extensions; *rest is where more names begin. False: none. */
static bool parse_word(const char *text, const char **rest, uint64_t *exts, struct mt_error *err)
{
	*rest = behind_word(text, "default");
	if (*rest)
		return rv_isa_parse(RV_ISA_DEFAULT, exts, err) == 0;
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]) && !*rest; i++) {
		*rest = behind_word(text, profiles[i].name);
		*exts = profiles[i].exts;
	}
	return *rest != NULL;
}

/* The letters; *rest is where the names begin. */
static int parse_base(const char *text, const char **rest, uint64_t *exts, struct mt_error *err)
{
	const char *p = text + 4;
	int rc = 0;

	if (parse_word(text, rest, exts, err))
		return 0;
	*exts = 0;
	if (strncmp(text, "rv64", 4)) {
		mt_error_set(err, MT_EINVAL, "isa", "'%.40s' does not begin with rv64", text);
		return mt_error_hint(err, "for instance rv64gc or rva22s64");
	}
	for (; !rc && *p && *p != '_'; p++) {
		/* a multi-letter name may follow the letters without an underscore, as in rv64iz... */
		if (*p == 'z' || (*p == 's' && islower((unsigned char)p[1])))
			break;
		rc = add_letter(*p, exts, err);
	}
	*rest = p;
	return rc;
}

int rv_isa_parse(const char *text, uint64_t *exts, struct mt_error *err)
{
	const char *p = text;

	*exts = 0;
	int rc = parse_base(text, &p, exts, err);
	while (!rc && *p) {
		p += *p == '_';
		size_t len = strcspn(p, "_");
		rc = add_name(p, len, exts, err);
		p += len;
	}
	return rc ? rc : rv_isa_check(*exts, err);
}

void rv_isa_text(uint64_t exts, char *buf, size_t buf_bytes)
{
	size_t at = 0;

	if (buf_bytes < RV_ISA_TEXT_BYTES) {
		if (buf_bytes)
			buf[0] = 0;
		return;
	}
	memcpy(buf, "rv64", 4);
	at = 4;
	for (int i = 0; i < RV_EXTS; i++) {
		const char *name = exts_table[i].name;
		if (!(exts >> i & 1))
			continue;
		if (name[1])
			buf[at++] = '_';
		memcpy(buf + at, name, strlen(name));
		at += strlen(name);
	}
	buf[at] = 0;
}

const char *rv_isa_name(enum rv_ext ext)
{
	return exts_table[ext].name;
}

uint64_t rv_isa_misa(uint64_t exts)
{
	/* Privileged ISA, "Machine ISA Register misa": MXL 2 = 64 bits, a bit a letter */
	uint64_t misa = UINT64_C(2) << 62 | UINT64_C(1) << ('s' - 'a') | UINT64_C(1) << ('u' - 'a');

	for (int i = 0; i < RV_EXTS; i++)
		if (!exts_table[i].name[1] && (exts >> i & 1))
			misa |= UINT64_C(1) << (exts_table[i].name[0] - 'a');
	return misa;
}
