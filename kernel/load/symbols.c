// SPDX-License-Identifier: MIT
/*
 * Looks up each undefined symbol of a plugin in the libraries that it declares as needed, in their files, as
 * the dynamic linker will: libraries that the process has already (most of them) by its link map, others by
 * run path, LD_LIBRARY_PATH, the linker's cache and the usual directories. Nothing is loaded. Any thread.
 */
#include "kernel/load/symbols.h"

#include <glib.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/load/elf.h"
#include "kernel/machine/fault.h"

#define SYMBOLS_NEEDED_MAX 128u
#define SYMBOLS_VERSIONS_MAX 1024u
#define SYMBOLS_CACHE "/etc/ld.so.cache"
#define SYMBOLS_CACHE_MAGIC "glibc-ld.so.cache1.1"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SYMBOLS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(undefined_behavior_sanitizer)
#define SYMBOLS_SANITIZED 1
#endif
#endif
#ifndef SYMBOLS_SANITIZED
#define SYMBOLS_SANITIZED 0
#endif

struct symbols_library {
	const char *name;
	struct elf *elf;
	bool kept;                     /* in `loaded`: not the plugin's alone */
};

/* Libraries of the process, by the name that plugins need them by. The C library is in each plugin's list. */
struct symbols {
	GHashTable *loaded;            /* char * -> struct elf * */
	char *cache;                   /* the linker's, when it was needed; NULL: not yet, or there is none */
	size_t cache_bytes;
};

static void elf_free(void *arg)
{
	struct elf *elf = arg;

	elf_close(elf);
	g_free(elf);
}

struct symbols *symbols_create(void)
{
	struct symbols *symbols = g_new0(struct symbols, 1);

	symbols->loaded = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, elf_free);
	return symbols;
}

void symbols_destroy(struct symbols *symbols)
{
	if (!symbols)
		return;
	g_hash_table_unref(symbols->loaded);
	g_free(symbols->cache);
	g_free(symbols);
}

/* Finding libraries */

static bool symbols_try(struct elf *elf, const char *path)
{
	return elf_open(elf, path, NULL) == 0;
}

static bool symbols_try_in(struct elf *elf, const char *dir, const char *name)
{
	char *path = g_build_filename(dir, name, NULL);
	bool found = symbols_try(elf, path);

	g_free(path);
	return found;
}

struct symbols_wanted {
	const char *name;
	struct elf *elf;
};

static int symbols_look_loaded(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct symbols_wanted *wanted = arg;
	const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;

	(void)size;
	return slash && !strcmp(slash + 1, wanted->name) && symbols_try(wanted->elf, info->dlpi_name);
}

/* A library that the process has open: the common case. */
static bool symbols_try_loaded(struct elf *elf, const char *name)
{
	struct symbols_wanted wanted = { name, elf };

	return dl_iterate_phdr(symbols_look_loaded, &wanted) != 0;
}

/* A colon-separated path; $ORIGIN is the plugin's folder. */
static bool symbols_try_path(struct elf *elf, const char *dirs, const char *plugin, const char *name)
{
	char **list = dirs ? g_strsplit(dirs, ":", -1) : NULL;
	char *origin = g_path_get_dirname(plugin);
	bool found = false;

	for (int i = 0; list && list[i] && !found; i++) {
		GString *dir = g_string_new(list[i]);

		g_string_replace(dir, "${ORIGIN}", origin, 0);
		g_string_replace(dir, "$ORIGIN", origin, 0);
		found = dir->len && symbols_try_in(elf, dir->str, name);
		g_string_free(dir, TRUE);
	}
	g_free(origin);
	g_strfreev(list);
	return found;
}

struct symbols_cache_entry { int32_t flags; uint32_t key, value, os_version; uint64_t hwcap; };

/* The cache is written by root, but a half-written one must not crash us: each string is checked. */
static bool symbols_try_cache(struct symbols *symbols, struct elf *elf, const char *name)
{
	size_t magic_len = strlen(SYMBOLS_CACHE_MAGIC);
	bool found = false;
	uint32_t count;

	if (!symbols->cache && !g_file_get_contents(SYMBOLS_CACHE, &symbols->cache, &symbols->cache_bytes, NULL))
		return false;
	const char *head = memmem(symbols->cache, symbols->cache_bytes, SYMBOLS_CACHE_MAGIC, magic_len);
	size_t rest = head ? symbols->cache_bytes - (size_t)(head - symbols->cache) : 0;

	count = 0;
	if (rest >= 48)
		memcpy(&count, head + magic_len, sizeof(count));
	for (uint64_t i = 0; i < count && !found && 48 + (i + 1) * sizeof(struct symbols_cache_entry) <= rest; i++) {
		struct symbols_cache_entry e;

		memcpy(&e, head + 48 + i * sizeof(e), sizeof(e));
		if (e.key < rest && e.value < rest && !strncmp(head + e.key, name, rest - e.key) &&
		    memchr(head + e.value, 0, rest - e.value))
			found = symbols_try(elf, head + e.value);
	}
	return found;
}

static bool symbols_try_usual(struct elf *elf, const char *name)
{
	static const char *const dirs[] = {
#if defined(__x86_64__)
		"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
#elif defined(__aarch64__)
		"/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
#endif
		"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
		if (symbols_try_in(elf, dirs[i], name))
			return true;
	return false;
}

static bool symbols_open_library(struct symbols *symbols, struct elf *elf, const struct elf *plugin, const char *path,
				 const char *name)
{
	if (strchr(name, '/'))
		return symbols_try(elf, name);
	return symbols_try_path(elf, elf_runpath(plugin), path, name) ||
	       symbols_try_path(elf, secure_getenv("LD_LIBRARY_PATH"), path, name) ||
	       symbols_try_cache(symbols, elf, name) || symbols_try_usual(elf, name);
}

static bool symbols_open_one(struct symbols *symbols, struct symbols_library *lib, const struct elf *plugin,
			     const char *path)
{
	lib->elf = strchr(lib->name, '/') ? NULL : g_hash_table_lookup(symbols->loaded, lib->name);
	lib->kept = lib->elf != NULL;
	if (lib->kept)
		return true;
	lib->elf = g_new0(struct elf, 1);
	if (!strchr(lib->name, '/') && symbols_try_loaded(lib->elf, lib->name)) {
		lib->kept = true;
		g_hash_table_insert(symbols->loaded, g_strdup(lib->name), lib->elf);
		return true;
	}
	if (symbols_open_library(symbols, lib->elf, plugin, path, lib->name))
		return true;
	g_free(lib->elf);
	return false;
}

static int symbols_open_all(struct symbols *symbols, GArray *libraries, const struct elf *plugin, const char *path,
			    struct mt_error *err)
{
	const char *name;

	for (unsigned i = 0; i < SYMBOLS_NEEDED_MAX && (name = elf_needed(plugin, i)); i++) {
		struct symbols_library lib = { .name = name };

		if (!symbols_open_one(symbols, &lib, plugin, path))
			return fault_set(err, MT_EHOST, "DT_NEEDED", "install the package that has this library",
					 "wanted the library %.200s, offered none on this host", name);
		g_array_append_val(libraries, lib);
	}
	return 0;
}

/* Checks */

/* The runtime of a sanitizer is in the program itself, where no declared library has it. */
static bool symbols_is_sanitizers(const char *name)
{
	static const char *const starts[] = {
		"__asan_", "__ubsan_", "__tsan_", "__sanitizer_", "__sancov_", "__lsan_", "__interceptor_",
	};

	for (size_t i = 0; SYMBOLS_SANITIZED && i < G_N_ELEMENTS(starts); i++)
		if (g_str_has_prefix(name, starts[i]))
			return true;
	return false;
}

static bool symbols_is_defined(const GArray *libraries, const char *name)
{
	for (unsigned i = 0; i < libraries->len; i++)
		if (elf_defines(g_array_index(libraries, struct symbols_library, i).elf, name))
			return true;
	return symbols_is_sanitizers(name);
}

static int symbols_check_names(const GArray *libraries, const struct elf *plugin, struct mt_error *err)
{
	Elf64_Sym sym;

	for (uint64_t i = 1; elf_symbol(plugin, i, &sym); i++) {
		const char *name = elf_string(plugin, sym.st_name);

		if (sym.st_shndx != SHN_UNDEF || ELF64_ST_BIND(sym.st_info) != STB_GLOBAL || !name || !*name)
			continue;
		if (!symbols_is_defined(libraries, name))
			return fault_set(err, MT_EINVAL, "undefined symbol",
					 "link the plugin with -Wl,-z,defs and with the library that has it",
					 "wanted symbol '%.200s', offered by none of its libraries", name);
	}
	return 0;
}

static int symbols_check_versions(const GArray *libraries, const struct elf *plugin, struct mt_error *err)
{
	const char *library, *version;

	for (unsigned i = 0; i < SYMBOLS_VERSIONS_MAX; i++) {
		if (!elf_version_needed(plugin, i, &library, &version))
			break;
		for (unsigned k = 0; k < libraries->len; k++) {
			const struct symbols_library *lib = &g_array_index(libraries, struct symbols_library, k);

			if (!strcmp(lib->name, library) && !elf_has_version(lib->elf, version))
				return fault_set(err, MT_EHOST, "symbol version",
						 "take a build of the plugin for this system, or a newer system",
						 "wanted version %.64s of %.64s, offered an older library", version,
						 library);
		}
	}
	return 0;
}

int symbols_check(struct symbols *symbols, const char *path, struct mt_error *err)
{
	GArray *libraries;
	struct elf plugin;
	int code = elf_open(&plugin, path, err);

	if (code)
		return code;
	libraries = g_array_new(FALSE, FALSE, sizeof(struct symbols_library));
	code = symbols_open_all(symbols, libraries, &plugin, path, err);
	if (!code)
		code = symbols_check_versions(libraries, &plugin, err);
	if (!code)
		code = symbols_check_names(libraries, &plugin, err);
	for (unsigned i = 0; i < libraries->len; i++) {
		const struct symbols_library *lib = &g_array_index(libraries, struct symbols_library, i);

		if (!lib->kept)
			elf_free(lib->elf);
	}
	g_array_unref(libraries);
	elf_close(&plugin);
	return code;
}
