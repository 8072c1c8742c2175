// SPDX-License-Identifier: MIT
/*
 * Reads the files of a machine. A file is read once, however often it is named; a file that is named while
 * its own includes are still open is a cycle, told with both lines. Paths are relative to the file that names
 * them. The environment is never looked at. Called from [main].
 */
#include "kernel/config/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/config/suggest.h"

static void layer_free(void *data)
{
	struct layer *layer = data;

	ini_free(layer->file);
	g_free(layer->path);
	g_free(layer->dir);
	g_free(layer);
}

bool layers_owns_key(const char *key)
{
	return !strcmp(key, "base") || g_str_has_prefix(key, "include.");
}

const struct layer *layers_main(const struct layers *l)
{
	return l->files->len ? l->files->pdata[0] : NULL;
}

/* Reading */

/* A regular file, whole; NULL with `why` set. A fifo or a device would hang or never end. */
static char *layers_read(const char *path, size_t *len, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text = NULL;

	*why = fd < 0 ? g_strerror(errno) : NULL;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*why = "not a file";
	} else if (st.st_size > (off_t)LAYERS_FILE_MAX) {
		*why = "larger than 1 MiB; not a machine file";
	} else {
		text = g_malloc((size_t)st.st_size + 1);
		ssize_t got = read(fd, text, (size_t)st.st_size);

		*len = got > 0 ? (size_t)got : 0;
		if (got < 0) {
			*why = g_strerror(errno);
			g_clear_pointer(&text, g_free);
		}
	}
	close(fd);
	return text;
}

static struct layer *layers_seen(const struct layers *l, const char *real)
{
	for (unsigned i = 0; i < l->files->len; i++) {
		struct layer *layer = l->files->pdata[i];

		if (!strcmp(layer->path, real))
			return layer;
	}
	return NULL;
}

static char *layers_real_path(const char *path)
{
	char *real = realpath(path, NULL), *copy = real ? g_strdup(real) : g_canonicalize_filename(path, NULL);

	free(real);
	return copy;
}

/* The bytes of a value at `pos`, for the caret. */
static int layers_width(const struct diag_pos *pos)
{
	return pos ? (int)strcspn(pos->text + pos->column - 1, " \t\"';#") : 1;
}

static void layers_tell_cycle(struct layers *l, const struct layer *from, const struct layer *again,
			      const struct diag_pos *pos)
{
	/* The line of `again` that leads here: the parent link of the ancestor below it. */
	const struct layer *below = from;

	while (below != again && below->parent != again)
		below = below->parent;
	if (below == again)
		diag_add(l->d, DIAG_ERROR, pos, layers_width(pos), "machine", NULL, "'%s' includes itself",
			 again->file->name);
	else
		diag_add(l->d, DIAG_ERROR, pos, layers_width(pos), "machine", NULL,
			 "the files include each other in a circle: '%s' leads here in line %d",
			 below->parent_pos.file, below->parent_pos.line);
}

static unsigned layers_depth(const struct layer *layer)
{
	unsigned depth = 0;

	for (; layer; layer = layer->parent)
		depth++;
	return depth;
}

static void layers_visit(struct layers *l, struct layer *layer);

/* Adds a file. `pos` is where it is named, NULL for the machine file itself. */
static void layers_add(struct layers *l, const char *path, const struct layer *parent,
		       const struct diag_pos *pos)
{
	char *real = layers_real_path(path);
	struct layer *layer = layers_seen(l, real);
	const char *why = NULL, *section = parent ? "machine" : NULL;
	size_t len = 0;

	if (layer) {
		g_free(real);
		if (layer->done)
			g_ptr_array_add(l->order, layer);
		else
			layers_tell_cycle(l, parent, layer, pos);
		return;
	}
	if (layers_depth(parent) > LAYERS_DEPTH_MAX) {
		diag_add(l->d, DIAG_ERROR, pos, layers_width(pos), section, NULL, "files are nested more than %d deep",
			 LAYERS_DEPTH_MAX);
		g_free(real);
		return;
	}
	char *text = layers_read(path, &len, &why);

	if (!text) {
		diag_add(l->d, DIAG_ERROR, pos, layers_width(pos), section, NULL,
			 "cannot read '%s': %s", path, why);
		g_free(real);
		return;
	}
	layer = g_new0(struct layer, 1);
	layer->path = real;
	layer->dir = g_path_get_dirname(real);
	layer->parent = parent;
	if (pos)
		layer->parent_pos = *pos;
	layer->file = ini_scan(path, text, len, l->d);
	g_free(text);
	g_ptr_array_add(l->files, layer);
	layers_visit(l, layer);
}

/* Shipped machines */

static void layers_suggest_machines(const struct layers *l, struct suggest *s, GPtrArray *names)
{
	for (unsigned i = 0; l->options->machine_dirs && l->options->machine_dirs[i]; i++) {
		GDir *dir = g_dir_open(l->options->machine_dirs[i], 0, NULL);
		const char *name;

		while (dir && (name = g_dir_read_name(dir))) {
			if (!g_str_has_suffix(name, ".ini"))
				continue;
			g_ptr_array_add(names, g_strndup(name, strlen(name) - 4));
			suggest_add(s, names->pdata[names->len - 1]);
		}
		if (dir)
			g_dir_close(dir);
	}
}

/* The path of a shipped machine, or NULL. */
static char *layers_find_machine(const struct layers *l, const char *name)
{
	for (unsigned i = 0; l->options->machine_dirs && l->options->machine_dirs[i]; i++) {
		const char *suffix = g_str_has_suffix(name, ".ini") ? "" : ".ini";
		char *path = g_strconcat(l->options->machine_dirs[i], "/", name, suffix, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
			return path;
		g_free(path);
	}
	return NULL;
}

static void layers_tell_no_machine(struct layers *l, const char *name, const struct diag_pos *pos,
				   const char *what)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	struct suggest s;
	char hint[160];

	suggest_init(&s, name);
	layers_suggest_machines(l, &s, names);
	const char *close = suggest_hint(&s, hint);

	diag_add(l->d, DIAG_ERROR, pos, (int)strlen(name), pos ? "machine" : NULL,
		 close ? close : "see: mortise new --list", "%s '%s'", what, name);
	g_ptr_array_unref(names);
}

static void layers_add_base(struct layers *l, const struct layer *layer, const struct ini_key *key,
			    const char *name)
{
	char *path = strchr(name, '/') ? NULL : layers_find_machine(l, name);

	if (path)
		layers_add(l, path, layer, &key->value_pos);
	else
		layers_tell_no_machine(l, name, &key->value_pos, "no shipped machine is called");
	g_free(path);
}

static void layers_add_include(struct layers *l, const struct layer *layer, const struct ini_key *key,
			       const char *name)
{
	char *shown = g_path_get_dirname(layer->file->name);
	char *path = g_path_is_absolute(name) || !strcmp(shown, ".") ? g_strdup(name)
								      : g_build_filename(shown, name, NULL);

	layers_add(l, path, layer, &key->value_pos);
	g_free(path);
	g_free(shown);
}

/* include.1, include.2, ... in number order; other spellings are left for `check` to refuse. */
static int layers_compare_keys(const void *pa, const void *pb)
{
	const struct ini_key *a = *(const void *const *)pa, *b = *(const void *const *)pb;
	uint64_t na = 0, nb = 0;

	value_parse_int(a->name + strlen("include."), &na, NULL);
	value_parse_int(b->name + strlen("include."), &nb, NULL);
	return (na > nb) - (na < nb);
}

static bool layers_check_number(struct layers *l, const struct ini_key *key)
{
	uint64_t number;

	if (value_parse_int(key->name + strlen("include."), &number, NULL))
		return true;
	diag_add(l->d, DIAG_ERROR, &key->pos, (int)strlen(key->name), "machine", "write include.1, include.2, ...",
		 "'%s' has no number", key->name);
	return false;
}

static void layers_add_named(struct layers *l, const struct layer *layer, const struct ini_key *key)
{
	char *name = layers_substitute(l, key->value, layer->dir, &key->value_pos, "machine");

	if (name && *name && !strcmp(key->name, "base"))
		layers_add_base(l, layer, key, name);
	else if (name && *name)
		layers_add_include(l, layer, key, name);
	g_free(name);
}

static void layers_visit_machine(struct layers *l, struct layer *layer, struct ini_section *sec)
{
	unsigned before = diag_errors(l->d);
	GPtrArray *includes = g_ptr_array_new();

	for (unsigned i = 0; i < sec->keys->len; i++) {
		struct ini_key *key = sec->keys->pdata[i];

		if (!strcmp(key->name, "base"))
			layers_add_named(l, layer, key);
		else if (layers_owns_key(key->name) && layers_check_number(l, key))
			g_ptr_array_add(includes, key);
	}
	g_ptr_array_sort(includes, layers_compare_keys);
	for (unsigned i = 0; i < includes->len; i++)
		layers_add_named(l, layer, includes->pdata[i]);
	sec->damaged |= diag_errors(l->d) > before;
	g_ptr_array_unref(includes);
}

static void layers_visit(struct layers *l, struct layer *layer)
{
	for (unsigned i = 0; i < layer->file->sections->len; i++) {
		struct ini_section *sec = layer->file->sections->pdata[i];

		if (!sec->bad && !sec->id && !strcmp(sec->kind, "machine"))
			layers_visit_machine(l, layer, sec);
	}
	layer->done = true;
	g_ptr_array_add(l->order, layer);
}

static int layers_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void layers_add_drop_ins(struct layers *l, const char *main_path)
{
	char *folder = g_strconcat(main_path, ".d", NULL);
	GDir *dir = g_dir_open(folder, 0, NULL);
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ".ini") && *name != '.')
			g_ptr_array_add(names, g_build_filename(folder, name, NULL));
	g_ptr_array_sort(names, layers_compare_names);
	for (unsigned i = 0; i < names->len; i++)
		layers_add(l, names->pdata[i], NULL, NULL);
	if (dir)
		g_dir_close(dir);
	g_ptr_array_unref(names);
	g_free(folder);
}

struct layers *layers_load(const char *name, const struct config_options *options, struct diag *d)
{
	struct layers *l = g_new0(struct layers, 1);
	char *path = NULL;

	l->options = options;
	l->d = d;
	l->files = g_ptr_array_new_with_free_func(layer_free);
	l->order = g_ptr_array_new();
	layers_init_defines(l);
	if (!strchr(name, '/') && !g_file_test(name, G_FILE_TEST_EXISTS)) {
		path = layers_find_machine(l, name);
		if (!path) {
			layers_tell_no_machine(l, name, NULL, "no file and no shipped machine is called");
			return l;
		}
	}
	layers_add(l, path ? path : name, NULL, NULL);
	if (l->files->len)
		layers_add_drop_ins(l, path ? path : name);
	g_free(path);
	return l;
}

void layers_free(struct layers *l)
{
	g_ptr_array_unref(l->files);
	g_ptr_array_unref(l->order);
	layers_fini_defines(l);
	g_free(l);
}
