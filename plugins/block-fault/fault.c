/* SPDX-License-Identifier: MIT */
/* Rules of what goes wrong; see fault.h. */
#include "fault.h"

#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#define WORD_BYTES 64u

/* Tables of words */

struct word {
	const char *name;
	int64_t value;
};

static const struct word ops[] = {
	{ "read", MT_BLOCK_FILTER_BIT(MT_BLOCK_READ) }, { "write", MT_BLOCK_FILTER_BIT(MT_BLOCK_WRITE) },
	{ "flush", MT_BLOCK_FILTER_BIT(MT_BLOCK_FLUSH) }, { "discard", MT_BLOCK_FILTER_BIT(MT_BLOCK_DISCARD) },
	{ "zero", MT_BLOCK_FILTER_BIT(MT_BLOCK_ZERO) }, { "any", MT_BLOCK_FILTER_ALL }, { NULL, 0 },
};

static const struct word errors[] = {
	{ "EIO", MT_EIO }, { "ENOSPC", MT_ENOSPC }, { "ENOMEM", MT_ENOMEM }, { "EPERM", MT_EPERM },
	{ "ENOTSUP", MT_ENOTSUP }, { "EINVAL", MT_EINVAL }, { "EBUSY", MT_EBUSY }, { "ENXIO", MT_EGONE }, { NULL, 0 },
};

static const struct word time_units[] = {
	{ "", 1000000000 }, { "s", 1000000000 }, { "ms", 1000000 }, { "us", 1000 }, { "ns", 1 }, { NULL, 0 },
};

static const struct word size_units[] = {
	{ "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 }, { "T", 1ll << 40 }, { NULL, 0 },
};

static const struct word *word_find(const struct word *words, const char *name)
{
	for (; words->name; words++) {
		if (strcmp(words->name, name) == 0)
			return words;
	}
	return NULL;
}

/* Values: each 0, or MT_EINVAL. */

static int number_read(const char *text, const struct word *units, uint64_t *out)
{
	const struct word *unit;
	char *end = NULL;
	uint64_t number;

	if (*text < '0' || *text > '9')
		return MT_EINVAL;
	number = strtoull(text, &end, 10);
	unit = word_find(units, end);
	if (!unit || number > (uint64_t)INT64_MAX / (uint64_t)unit->value)
		return MT_EINVAL;
	*out = number * (uint64_t)unit->value;
	return 0;
}

static int count_read(const char *text, uint64_t min, uint64_t *out)
{
	static const struct word none[] = { { "", 1 }, { NULL, 0 } };

	return number_read(text, none, out) < 0 || *out < min ? MT_EINVAL : 0;
}

/* "0.25", of up to six places. */
static int chance_read(const char *text, uint32_t *out)
{
	uint32_t value = 0, place = FAULT_CERTAIN;

	if ((*text != '0' && *text != '1') || (text[1] && text[1] != '.'))
		return MT_EINVAL;
	value = *text == '1' ? FAULT_CERTAIN : 0;
	for (text += text[1] ? 2 : 1; *text; text++) {
		place /= 10;
		if (*text < '0' || *text > '9' || place == 0)
			return MT_EINVAL;
		value += (uint32_t)(*text - '0') * place;
	}
	*out = value;
	return value <= FAULT_CERTAIN ? 0 : MT_EINVAL;
}

static int ops_read(char *text, uint32_t *mask)
{
	char *rest = NULL;

	*mask = 0;
	for (char *name = strtok_r(text, "+", &rest); name; name = strtok_r(NULL, "+", &rest)) {
		const struct word *word = word_find(ops, name);

		if (!word)
			return MT_EINVAL;
		*mask |= (uint32_t)word->value;
	}
	return *mask ? 0 : MT_EINVAL;
}

static int error_read(const char *text, int32_t *out)
{
	const struct word *word = word_find(errors, text);

	*out = word ? (int32_t)word->value : 0;
	return word ? 0 : MT_EINVAL;
}

static int setting_read(struct rule *rule, const char *name, const char *value)
{
	if (strcmp(name, "from") == 0)
		return number_read(value, size_units, &rule->offset);
	if (strcmp(name, "length") == 0)
		return number_read(value, size_units, &rule->len_bytes) < 0 || !rule->len_bytes ? MT_EINVAL : 0;
	if (strcmp(name, "after") == 0)
		return count_read(value, 0, &rule->after);
	if (strcmp(name, "every") == 0)
		return count_read(value, 1, &rule->every);
	if (strcmp(name, "times") == 0)
		return count_read(value, 1, &rule->times);
	if (strcmp(name, "chance") == 0)
		return chance_read(value, &rule->chance);
	if (strcmp(name, "error") == 0)
		return error_read(value, &rule->error);
	if (strcmp(name, "delay") == 0)
		return number_read(value, time_units, &rule->delay_ns);
	return MT_EINVAL;
}

static int word_read(struct rule *rule, char *word)
{
	char *equals = strchr(word, '=');

	if (strcmp(word, "once") == 0) {
		rule->times = 1;
		return 0;
	}
	if (strcmp(word, "vanish") == 0) {
		rule->vanish = 1;
		return 0;
	}
	if (!equals)
		return ops_read(word, &rule->ops);
	*equals = '\0';
	return setting_read(rule, word, equals + 1);
}

static int word_wrong(struct mt_error *err, const char *word)
{
	mt_error_set(err, MT_EINVAL, "rule", "'%s' says nothing", word);
	mt_error_hint(err, "read+write+flush+discard+zero, any, from=, length=, after=, every=, times=, once, chance=, "
		      "error=EIO, delay=20ms, vanish");
	return MT_EINVAL;
}

int fault_rule_add(struct fault *f, const char *text, struct mt_error *err)
{
	struct rule rule = { .ops = MT_BLOCK_FILTER_ALL, .every = 1, .chance = FAULT_CERTAIN };
	char word[WORD_BYTES], told[WORD_BYTES];

	if (f->rule_count == FAULT_RULES)
		return mt_error_set(err, MT_ERANGE, "rule", "there are more rules than %u", FAULT_RULES);
	for (text += strspn(text, " \t"); *text; text += strspn(text, " \t")) {
		size_t n = strcspn(text, " \t");

		if (n >= sizeof(word))
			return word_wrong(err, "a word as long as that");
		memcpy(word, text, n);
		word[n] = '\0';
		memcpy(told, word, n + 1);
		if (word_read(&rule, word) < 0)
			return word_wrong(err, told);
		text += n;
	}
	if (!rule.error && !rule.delay_ns && !rule.vanish)
		return mt_error_set(err, MT_EINVAL, "rule", "a rule wants an error, a delay or vanish");
	if (rule.offset && !rule.len_bytes)
		rule.len_bytes = UINT64_MAX - rule.offset;
	f->rules[f->rule_count++] = rule;
	return 0;
}

void fault_seed(struct fault *f, uint64_t seed)
{
	f->random = seed * 0x9e3779b97f4a7c15ull | 1;
}

/* Marsaglia's xorshift64*; the upper bits are the good ones. */
static uint32_t random_below(struct fault *f, uint32_t below)
{
	f->random ^= f->random >> 12;
	f->random ^= f->random << 25;
	f->random ^= f->random >> 27;
	return (uint32_t)(((f->random * 0x2545f4914f6cdd1dull) >> 32) * below >> 32);
}

/* A rule with a range is about data: flushes are nowhere. */
static int matches(const struct rule *rule, const struct mt_block_filter_op *op)
{
	if (!(rule->ops & MT_BLOCK_FILTER_BIT(op->op)))
		return 0;
	if (rule->len_bytes == 0)
		return 1;
	return op->op != MT_BLOCK_FLUSH && op->offset < rule->offset + rule->len_bytes &&
	       op->len_bytes > (rule->offset > op->offset ? rule->offset - op->offset : 0);
}

static int fires(struct fault *f, struct rule *rule)
{
	uint64_t n = rule->matched++;

	if (n < rule->after || (n - rule->after) % rule->every || (rule->times && rule->fired >= rule->times))
		return 0;
	if (rule->chance < FAULT_CERTAIN && random_below(f, FAULT_CERTAIN) >= rule->chance)
		return 0;
	rule->fired++;
	return 1;
}

int32_t fault_operation(struct fault *f, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	int32_t error = 0;

	for (uint32_t i = 0; i < f->rule_count && !f->gone && !error; i++) {
		struct rule *rule = &f->rules[i];

		if (!matches(rule, op) || !fires(f, rule))
			continue;
		*delay_ns += rule->delay_ns;
		error = rule->error;
		f->gone |= rule->vanish;
	}
	return f->gone ? MT_EGONE : error;
}
