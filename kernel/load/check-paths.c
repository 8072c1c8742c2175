// SPDX-License-Identifier: MIT
/*
 * Files that a machine names: that they are there, can be read, and are no folders. What a plugin writes (the
 * flag WRITE) may come to be later. Nothing is opened here: a FIFO would hang, and the plugin's own open has the
 * last word, as a file may go at any time. Part of `check`; called from [main].
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/load/check-parts.h"

/* Firmware that machine files name by the place where Debian's packages put it. */
static const struct {
	const char *prefix, *package;
} paths_packages[] = {
	{ "/usr/lib/riscv64-linux-gnu/opensbi/", "opensbi" },
	{ "/usr/lib/u-boot/", "u-boot-qemu" },
	{ "/usr/share/AAVMF/", "qemu-efi-aarch64" },
	{ "/usr/share/OVMF/", "ovmf" },
	{ "/usr/share/seabios/", "seabios" },
};

static const char *paths_package_of(const char *path)
{
	for (size_t i = 0; i < G_N_ELEMENTS(paths_packages); i++)
		if (g_str_has_prefix(path, paths_packages[i].prefix))
			return paths_packages[i].package;
	return NULL;
}

/* 0, or why the file cannot be used as the property wants it. */
static int paths_errno(const struct note_prop *prop, const char *path)
{
	bool written = prop->flags & MT_PROPF_WRITE;
	struct stat st;

	if (stat(path, &st))
		return written && errno == ENOENT ? 0 : errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return access(path, written ? W_OK : R_OK) ? errno : 0;
}

static void paths_tell(struct check *c, const struct check_use *use, const char *path, int number)
{
	const char *package = number == ENOENT || number == ENOTDIR ? paths_package_of(path) : NULL;
	bool host = package || number == EACCES || number == EPERM;
	char *hint = package ? g_strdup_printf("the package %s has it", package) : NULL;
	char *shown = g_utf8_make_valid(path, -1);

	diag_add(c->d, host ? DIAG_HOST : DIAG_ERROR, &use->key->value_pos,
		 use->key->verbatim ? (int)strlen(use->key->value) : 1, use->sec->label, hint, "%s: cannot open '%s': %s",
		 use->key->name, shown, g_strerror(number));
	g_free(shown);
	g_free(hint);
}

void check_paths(struct check *c)
{
	GArray *uses = check_uses_of(c, MT_PROP_PATH);

	for (unsigned i = 0; i < uses->len; i++) {
		const struct check_use *use = &g_array_index(uses, struct check_use, i);
		char *path = key_path(use->key);
		int number = *use->key->value ? paths_errno(use->prop, path) : 0;

		if (number)
			paths_tell(c, use, path, number);
		g_free(path);
	}
	g_array_unref(uses);
}
