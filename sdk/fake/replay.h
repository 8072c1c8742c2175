/* SPDX-License-Identifier: MIT */
/*
 * The bounded replay of a fuzz target: every file of its corpus, and seeded mutations of each, through
 * LLVMFuzzerTestOneInput, with a limit of time for an input and of memory for all. The target's file includes this
 * and calls FUZZ_REPLAY; built by libFuzzer (-DFUZZ_ENGINE) the macro is empty and the engine brings main.
 */
#ifndef MTSDK_FAKE_REPLAY_H
#define MTSDK_FAKE_REPLAY_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_INPUT_MAX (4u << 20)
#define REPLAY_RSS_MAX   (256u << 20)

static inline uint64_t replay_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A few changes of the sorts that find faults in parsers: bits, bytes, extreme words, a cut, a copied piece. */
static inline size_t replay_mutate(uint8_t *data, size_t size, uint64_t *s)
{
	static const uint32_t words[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x1000, 0xffff };

	for (uint32_t n = 1 + replay_random(s) % 4; n && size > 8; n--) {
		/* most parsers decide by the first kilobytes */
		size_t at = replay_random(s) % (replay_random(s) & 3 && size > 2048 ? 2048 : size - 4);

		switch (replay_random(s) % 6) {
		case 0:
			data[at] ^= (uint8_t)(1u << replay_random(s) % 8);
			break;
		case 1:
			data[at] = (uint8_t)replay_random(s);
			break;
		case 2:
			size = replay_random(s) % 16 ? size : at + 4;
			break;
		case 3:
			memcpy(data + at, data + replay_random(s) % (size - 4), 4);
			break;
		default:
			at = at + 4 > size ? size - 4 : at & ~(size_t)3;
			memcpy(data + at, &words[replay_random(s) % 8], 4);
		}
	}
	return size;
}

static inline void replay_limit(uint32_t seconds)
{
	struct itimerval limit = { { 0, 0 }, { seconds, 0 } };

	setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

static inline int replay_file(const char *path, uint32_t mutations)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = (uint8_t *)malloc(REPLAY_INPUT_MAX), *copy = (uint8_t *)malloc(REPLAY_INPUT_MAX);
	uint64_t seed = 0x9e3779b97f4a7c15u;
	size_t size;

	if (!f || !data || !copy)
		return fprintf(stderr, "%s: cannot be read\n", path), 1;
	size = fread(data, 1, REPLAY_INPUT_MAX, f);
	fclose(f);
	for (uint32_t i = 0; i <= mutations; i++) {
		size_t n = size;

		memcpy(copy, data, size);
		if (i)
			n = replay_mutate(copy, size, &seed);
		replay_limit(2);               /* SIGVTALRM ends the program: its status tells */
		LLVMFuzzerTestOneInput(copy, n);
	}
	replay_limit(0);
	free(data);
	free(copy);
	return 0;
}

/* Arguments: files to run as they are. Without any: the corpus, with `mutations` of each file. */
static inline int replay_main(int argc, char **argv, const char *corpus, uint32_t mutations)
{
	struct rusage usage;
	struct dirent *entry;
	uint32_t files = 0;
	DIR *dir;
	int bad = 0;

	for (int i = 1; i < argc; i++)
		bad |= replay_file(argv[i], 0);
	if (argc > 1)
		return bad;
	dir = opendir(corpus);
	while (dir && (entry = readdir(dir))) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", corpus, entry->d_name);
		bad |= replay_file(path, mutations);
		files++;
	}
	if (dir)
		closedir(dir);
	getrusage(RUSAGE_SELF, &usage);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	usage.ru_maxrss = 0;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	usage.ru_maxrss = 0;
#endif
#endif
	printf("%u files, %u mutations each, %ld KiB at most\n", files, mutations, usage.ru_maxrss);
	return bad || !files || (uint64_t)usage.ru_maxrss * 1024 > REPLAY_RSS_MAX;
}

#ifdef FUZZ_ENGINE
#define FUZZ_REPLAY(corpus, mutations)
#else
#define FUZZ_REPLAY(corpus, mutations) \
	int main(int argc, char **argv) { return replay_main(argc, argv, TEST_SRCDIR "/" corpus, mutations); }
#endif

#endif
