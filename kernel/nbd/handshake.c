// SPDX-License-Identifier: MIT
/*
 * The negotiation ("Newstyle negotiation" of the specification). On the connection's thread; it waits for the client,
 * until the deadline. Easy to break: each option's data are read whole before anything is answered, and lengths inside
 * of them are held against what there is.
 */
#include <glib.h>
#include <string.h>
#include <util/endian.h>

#include "kernel/nbd/nbd.h"
#include "kernel/nbd/proto.h"

#define OPTION_MAX  65536u               /* data of an option; more is skipped, and refused */
#define QUERIES_MAX 64u

/* An option as it came. */
struct option {
	uint32_t id, len;
	uint8_t *data;
};

struct handshake {
	struct nbd_stream *stream;
	const struct nbd_export *export;
	struct nbd_agreed *agreed;
	struct option option;
};

enum next { NEXT_OPTION, NEXT_SESSION, NEXT_END };

/* Answers */

static bool reply(struct handshake *h, uint32_t type, const void *data, uint32_t len)
{
	uint8_t head[20];

	mt_put_be64(head, NBD_REPLY_MAGIC);
	mt_put_be32(head + 8, h->option.id);
	mt_put_be32(head + 12, type);
	mt_put_be32(head + 16, len);
	return stream_write(h->stream, head, sizeof(head)) && stream_write(h->stream, data, len);
}

static enum next ack(struct handshake *h)
{
	return reply(h, NBD_REP_ACK, NULL, 0) ? NEXT_OPTION : NEXT_END;
}

static enum next refuse(struct handshake *h, uint32_t type, const char *why)
{
	return reply(h, type, why, (uint32_t)strlen(why)) ? NEXT_OPTION : NEXT_END;
}

/* A cursor over an option's data; `bad` once something was not there. */
struct cursor {
	const uint8_t *at;
	uint32_t left;
	bool bad;
};

static const uint8_t *cursor_take(struct cursor *c, uint32_t len)
{
	const uint8_t *at = c->at;

	if (len > c->left) {
		c->bad = true;
		return NULL;
	}
	c->at += len;
	c->left -= len;
	return at;
}

static uint32_t cursor_u16(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 2);

	return p ? mt_get_be16(p) : 0;
}

static uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);

	return p ? mt_get_be32(p) : 0;
}

/* A string with its length before it. */
static const char *cursor_string(struct cursor *c, uint32_t *len)
{
	*len = cursor_u32(c);
	return c->bad ? NULL : (const char *)cursor_take(c, *len);
}

static bool is_text(const char *text, uint32_t len, const char *wanted)
{
	return text && len == strlen(wanted) && !memcmp(text, wanted, len);
}

static struct cursor cursor_of(const struct option *option)
{
	return (struct cursor){ option->data, option->len, false };
}

/* The export */

static uint16_t flags_of(const struct handshake *h)
{
	const struct nbd_export *e = h->export;
	uint32_t flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;

	if (e->readonly)
		flags |= NBD_FLAG_READ_ONLY;
	else
		flags |= NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO | (e->trim ? NBD_FLAG_SEND_TRIM : 0);
	if (e->multi)
		flags |= NBD_FLAG_CAN_MULTI_CONN;
	if (h->agreed->structured)
		flags |= NBD_FLAG_SEND_DF;
	return (uint16_t)flags;
}

static bool send_info(struct handshake *h)
{
	uint8_t data[12];

	mt_put_be16(data, NBD_INFO_EXPORT);
	mt_put_be64(data + 2, h->export->len_bytes);
	mt_put_be16(data + 10, flags_of(h));
	return reply(h, NBD_REP_INFO, data, sizeof(data));
}

/* Any offset and length will do; what is not aligned to the preferred size may be slower. */
static bool send_block_size(struct handshake *h)
{
	uint8_t data[14];

	mt_put_be16(data, NBD_INFO_BLOCK_SIZE);
	mt_put_be32(data + 2, 1);
	mt_put_be32(data + 6, h->export->preferred_bytes);
	mt_put_be32(data + 10, NBD_PAYLOAD_MAX);
	return reply(h, NBD_REP_INFO, data, sizeof(data));
}

static bool send_text(struct handshake *h, uint16_t info, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);
	uint8_t *data = g_malloc(2 + len);
	bool ok;

	mt_put_be16(data, info);
	memcpy(data + 2, text, len);
	ok = reply(h, NBD_REP_INFO, data, 2 + len);
	g_free(data);
	return ok;
}

/* Options. Each reads its own data. */

/* The old way in: no answer but the export itself, and the end for any other name. */
static enum next opt_export_name(struct handshake *h)
{
	uint8_t data[10 + 124] = { 0 };
	const struct option *option = &h->option;

	if (!is_text((const char *)option->data, option->len, h->export->name))
		return NEXT_END;
	mt_put_be64(data, h->export->len_bytes);
	mt_put_be16(data + 8, flags_of(h));
	return stream_write(h->stream, data, h->agreed->no_zeroes ? 10 : sizeof(data)) ? NEXT_SESSION : NEXT_END;
}

static enum next opt_abort(struct handshake *h)
{
	ack(h);
	return NEXT_END;
}

static enum next opt_list(struct handshake *h)
{
	const char *text = h->export->description ? h->export->description : "";
	uint32_t name_len = (uint32_t)strlen(h->export->name), text_len = (uint32_t)strlen(text);
	uint8_t *data;
	bool ok;

	if (h->option.len)
		return refuse(h, NBD_REP_ERR_INVALID, "a list takes no data");
	data = g_malloc(4 + name_len + text_len);
	mt_put_be32(data, name_len);
	memcpy(data + 4, h->export->name, name_len);
	memcpy(data + 4 + name_len, text, text_len);
	ok = reply(h, NBD_REP_SERVER, data, 4 + name_len + text_len);
	g_free(data);
	return ok ? ack(h) : NEXT_END;
}

/* What was agreed on in plain does not hold any more: anybody could have said it. */
static enum next opt_starttls(struct handshake *h)
{
	if (h->option.len)
		return refuse(h, NBD_REP_ERR_INVALID, "TLS takes no data");
	if (!h->export->creds)
		return refuse(h, NBD_REP_ERR_POLICY, "TLS is not configured");
	if (h->stream->tls)
		return refuse(h, NBD_REP_ERR_INVALID, "TLS is on already");
	if (ack(h) == NEXT_END || !tls_start(h->stream, h->export->creds))
		return NEXT_END;
	h->agreed->structured = false;
	h->agreed->contexts = 0;
	return NEXT_OPTION;
}

static enum next opt_info(struct handshake *h)
{
	struct cursor c = cursor_of(&h->option);
	bool want_name = false, want_text = false;
	uint32_t len, count;
	const char *name = cursor_string(&c, &len);

	count = cursor_u16(&c);
	for (uint32_t i = 0; i < count && !c.bad; i++) {
		uint32_t wanted = cursor_u16(&c);

		want_name |= wanted == NBD_INFO_NAME;
		want_text |= wanted == NBD_INFO_DESCRIPTION;
	}
	if (c.bad || c.left)
		return refuse(h, NBD_REP_ERR_INVALID, "the lengths of the option do not fit");
	if (len > NBD_STRING_MAX)
		return refuse(h, NBD_REP_ERR_TOO_BIG, "the name is too long");
	if (!is_text(name, len, h->export->name))
		return refuse(h, NBD_REP_ERR_UNKNOWN, "there is no export of that name");
	if ((want_name && !send_text(h, NBD_INFO_NAME, h->export->name)) ||
	    (want_text && h->export->description && !send_text(h, NBD_INFO_DESCRIPTION, h->export->description)) ||
	    !send_info(h) || !send_block_size(h) || ack(h) == NEXT_END)
		return NEXT_END;
	return h->option.id == NBD_OPT_GO ? NEXT_SESSION : NEXT_OPTION;
}

static enum next opt_structured(struct handshake *h)
{
	if (h->option.len)
		return refuse(h, NBD_REP_ERR_INVALID, "structured replies take no data");
	h->agreed->structured = true;
	return ack(h);
}

/* Contexts */

static const struct context {
	uint32_t bit;
	const char *space, *name;
} contexts[] = {
	{ NBD_CONTEXT_ALLOCATION, "base:", "base:allocation" },
	{ NBD_CONTEXT_DEPTH, "qemu:", "qemu:allocation-depth" },
};

/* Contexts that a query means; a list may ask for all of a space. */
static uint32_t query_bits(const struct handshake *h, const char *query, uint32_t len)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(contexts); i++) {
		const struct context *ctx = &contexts[i];

		if (ctx->bit == NBD_CONTEXT_DEPTH && !h->export->depth)
			continue;
		if (is_text(query, len, ctx->name) ||
		    (h->option.id == NBD_OPT_LIST_META_CONTEXT && is_text(query, len, ctx->space)))
			bits |= ctx->bit;
	}
	return bits;
}

static bool send_contexts(struct handshake *h, uint32_t bits)
{
	uint8_t data[64];
	bool ok = true;

	for (size_t i = 0; i < G_N_ELEMENTS(contexts) && ok; i++) {
		size_t len = strlen(contexts[i].name);

		if (!(bits & contexts[i].bit))
			continue;
		mt_put_be32(data, h->option.id == NBD_OPT_SET_META_CONTEXT ? contexts[i].bit : 0);
		memcpy(data + 4, contexts[i].name, len);
		ok = reply(h, NBD_REP_META_CONTEXT, data, 4 + (uint32_t)len);
	}
	return ok;
}

static enum next opt_contexts(struct handshake *h)
{
	struct cursor c = cursor_of(&h->option);
	bool set = h->option.id == NBD_OPT_SET_META_CONTEXT;
	uint32_t len, count, query_len, bits = 0;
	const char *name = cursor_string(&c, &len);

	if (set)
		h->agreed->contexts = 0;
	count = cursor_u32(&c);
	if (count > QUERIES_MAX)
		return refuse(h, NBD_REP_ERR_TOO_BIG, "too many queries");
	for (uint32_t i = 0; i < count && !c.bad; i++) {
		const char *query = cursor_string(&c, &query_len);

		bits |= query ? query_bits(h, query, query_len) : 0;
	}
	if (c.bad || c.left)
		return refuse(h, NBD_REP_ERR_INVALID, "the lengths of the option do not fit");
	if (!h->agreed->structured)
		return refuse(h, NBD_REP_ERR_INVALID, "contexts need structured replies");
	if (!is_text(name, len, h->export->name))
		return refuse(h, NBD_REP_ERR_UNKNOWN, "there is no export of that name");
	if (!set && !count)
		bits = NBD_CONTEXT_ALLOCATION | (h->export->depth ? NBD_CONTEXT_DEPTH : 0);
	if (!send_contexts(h, bits))
		return NEXT_END;
	if (set)
		h->agreed->contexts = bits;
	return ack(h);
}

static const struct {
	uint32_t id;
	enum next (*fn)(struct handshake *h);
	bool plain;                      /* also where TLS is a must and not there yet */
} options[] = {
	{ NBD_OPT_EXPORT_NAME, opt_export_name, false },
	{ NBD_OPT_ABORT, opt_abort, true },
	{ NBD_OPT_LIST, opt_list, false },
	{ NBD_OPT_STARTTLS, opt_starttls, true },
	{ NBD_OPT_INFO, opt_info, false },
	{ NBD_OPT_GO, opt_info, false },
	{ NBD_OPT_STRUCTURED_REPLY, opt_structured, false },
	{ NBD_OPT_LIST_META_CONTEXT, opt_contexts, false },
	{ NBD_OPT_SET_META_CONTEXT, opt_contexts, false },
};

static enum next option_run(struct handshake *h)
{
	bool tls_wanted = h->export->creds && !h->stream->tls;

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
		if (options[i].id != h->option.id)
			continue;
		if (!tls_wanted || options[i].plain)
			return options[i].fn(h);
		if (h->option.id == NBD_OPT_EXPORT_NAME)
			return NEXT_END;
		return refuse(h, NBD_REP_ERR_TLS_REQD, "this server wants TLS");
	}
	return refuse(h, NBD_REP_ERR_UNSUP, "this server has no such option");
}

/* What cannot be refused, because the old way in has no word for it, ends the connection. */
static enum next option_next(struct handshake *h)
{
	uint8_t head[16];
	enum next next;

	if (!stream_read(h->stream, head, sizeof(head)) || mt_get_be64(head) != NBD_OPTION_MAGIC)
		return NEXT_END;
	h->option = (struct option){ .id = mt_get_be32(head + 8), .len = mt_get_be32(head + 12) };
	if (h->option.len > OPTION_MAX) {
		if (h->option.id == NBD_OPT_EXPORT_NAME || !stream_skip(h->stream, h->option.len))
			return NEXT_END;
		return refuse(h, NBD_REP_ERR_TOO_BIG, "the option is too long");
	}
	h->option.data = g_malloc(h->option.len + 1);
	next = stream_read(h->stream, h->option.data, h->option.len) ? option_run(h) : NEXT_END;
	g_free(h->option.data);
	return next;
}

bool handshake_run(struct nbd_stream *stream, const struct nbd_export *export, struct nbd_agreed *agreed)
{
	struct handshake h = { .stream = stream, .export = export, .agreed = agreed };
	enum next next = NEXT_OPTION;
	uint8_t head[18];
	uint32_t flags;

	*agreed = (struct nbd_agreed){ 0 };
	if (export->limit_seconds)
		stream->deadline_us = g_get_monotonic_time() + (int64_t)export->limit_seconds * 1000000;
	mt_put_be64(head, NBD_INIT_MAGIC);
	mt_put_be64(head + 8, NBD_OPTION_MAGIC);
	mt_put_be16(head + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	if (!stream_write(stream, head, sizeof(head)) || !stream_read(stream, head, 4))
		return false;
	flags = mt_get_be32(head);
	if (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
		return false;
	agreed->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	while (next == NEXT_OPTION)
		next = option_next(&h);
	stream->deadline_us = 0;
	return next == NEXT_SESSION;
}
