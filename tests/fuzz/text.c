/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the parsers that read what comes from outside: a line of the monitor's JSON, a manifest, the state of
 * a component, a machine file, a plugin's note or file, packets of GDB. The first byte of an input chooses; the rest is
 * the text.
 */
#include <fake/replay.h>
#include <sys/mman.h>

#include "kernel/config/config.h"
#include "kernel/config/ini.h"
#include "kernel/load/note.h"
#include "kernel/monitor/json.h"
#include "kernel/monitor/packet.h"
#include "kernel/state/crc32c.h"
#include "kernel/state/file.h"
#include "kernel/state/manifest.h"

/* A block of the exact size, so that a sanitizer sees a read behind it. */
static char *exact(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	return copy;
}

static void use_json(const char *text, size_t size)
{
	char error[JSON_ERROR_BYTES] = "";
	struct json *value = json_parse(text, size, error), *again;
	char *printed = NULL;
	size_t len = 0;
	FILE *out;

	if (!value && !error[0])
		abort();
	if (!value)
		return;
	out = open_memstream(&printed, &len);
	json_print(out, value);
	fclose(out);
	again = json_parse(printed, len, error);
	if (!again)
		abort();               /* what is printed can be read */
	json_free(again);
	json_free(value);
	free(printed);
}

/* The text lacks its last member, the sum, which is put right here. */
static void use_manifest(const char *text, size_t size)
{
	struct mt_error err = { .size = sizeof(err) };
	char *whole = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&whole, &len);
	struct manifest *man;

	fwrite(text, 1, size, out);
	fprintf(out, ",\n  \"crc32c\": %u\n}\n", crc32c(0, text, size));
	fclose(out);
	man = manifest_parse(whole, len, &err);
	if (!man && !err.message[0])
		abort();
	manifest_destroy(man);
	free(whole);
}

/* Asks for whatever there is, by the names that classes use. */
static void use_state(const char *text, size_t size)
{
	static const char *const names[] = { "guest-ns", "head", "queues", "vqs", "a", "fields" };
	struct mt_error err = { .size = sizeof(err) };
	struct mt_state_in *in = state_in_open("fuzz", text, size, &err);
	uint64_t room[64];
	uint32_t type, count;

	if (!in && !strstr(err.message, "fuzz"))
		abort();
	if (!in)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (state_reader.find(in, names[i], &type, &count) < 0)
			continue;
		state_reader.get(in, names[i], type, room, count < 64 ? count : 64);
		if (state_reader.begin(in, names[i], 0) == 0)
			state_reader.end(in);
	}
	state_in_verdict(in, 0, &err);
	state_in_close(in);
}

/* A text that names other files is only scanned: they would be read. */
static void use_config(const char *text, size_t size)
{
	static const char *const none[] = { NULL };
	struct config_options options = { .machine_dirs = none };
	struct diag *d = diag_create();
	struct config *config;
	char path[64];
	int fd;

	ini_free(ini_scan("fuzz", text, size, d));
	if (memmem(text, size, "include", 7) || memmem(text, size, "base", 4)) {
		diag_destroy(d);
		return;
	}
	fd = memfd_create("machine", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config = config_load(path, &options, d);
	if (!config && !diag_errors(d))
		abort();
	config_destroy(config);
	diag_destroy(d);
	close(fd);
}

static void use_elf(const char *text, size_t size)
{
	struct mt_error err = { .size = sizeof(err) };
	struct note *note = note_read_bytes(text, size, &err);

	if (!note && !err.message[0])
		abort();
	note_free(note);
}

static void use_note(const char *text, size_t size)
{
	struct mt_error err = { .size = sizeof(err) };
	struct note *note = note_parse(text, size, &err);

	if (!note && !err.message[0])
		abort();
	note_free(note);
}

static void use_packets(const char *text, size_t size)
{
	static struct packet_reader reader;
	uint8_t bytes[32];
	uint64_t number;

	memset(&reader, 0, sizeof(reader));
	for (size_t i = 0; i < size; i++) {
		const char *p = reader.data;

		if (packet_feed(&reader, (uint8_t)text[i]) != PACKET_DATA)
			continue;
		while (*p && (packet_take_number(&p, &number) || packet_take_hex(&p, bytes, sizeof(bytes)) || p++))
			;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const users[])(const char *, size_t) = {
		use_json, use_manifest, use_state, use_config, use_note, use_packets, use_elf,
	};
	char *text;

	if (!size)
		return 0;
	text = exact(data + 1, size - 1);
	users[data[0] % G_N_ELEMENTS(users)](text, size - 1);
	free(text);
	return 0;
}

FUZZ_REPLAY("tests/fuzz/text", 300)
