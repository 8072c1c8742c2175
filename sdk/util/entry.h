/* SPDX-License-Identifier: MIT */
/*
 * The end of a plugin with one class: its roles by their names, and the entry.
 *
 *   MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &adc_device },
 *                          { MT_IFACE_STATE, &adc_state })
 *
 * Once in a plugin, after the note is emitted. Whoever has several classes, or something to do at load, writes
 * get_class and mortise_plugin_entry by hand.
 */
#ifndef MORTISE_UTIL_ENTRY_H
#define MORTISE_UTIL_ENTRY_H

#include <mortise/plugin.h>
#include <stdint.h>
#include <string.h>

struct mt_role {
	const char *id;                /* MT_IFACE_* */
	const void *role;              /* the struct that interface calls for; const, lives as long as the plugin */
};

/* [any] The role named `id`, or NULL. */
static inline const void *mt_role_find(const struct mt_role *roles, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(roles[i].id, id) == 0)
			return roles[i].role;
	}
	return NULL;
}

#define MT_PLUGIN_OF_ONE_CLASS(...) \
	static const void *get_class(const char *class_name, const char *id) \
	{ \
		static const struct mt_role roles[] = { __VA_ARGS__ }; \
\
		(void)class_name; \
		return mt_role_find(roles, sizeof(roles) / sizeof(roles[0]), id); \
	} \
\
	static const struct mt_plugin plugin = { sizeof(plugin), MT_ABI_MAJOR, get_class }; \
\
	const struct mt_plugin *mortise_plugin_entry(const struct mt_host *host, struct mt_error *err) \
	{ \
		(void)host, (void)err; \
		return &plugin; \
	}

#endif
