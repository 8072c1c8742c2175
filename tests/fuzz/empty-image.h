/* SPDX-License-Identifier: MIT */
/* See empty-image.c. */
#ifndef TESTS_FUZZ_EMPTY_IMAGE_H
#define TESTS_FUZZ_EMPTY_IMAGE_H

#include <mortise/plugin.h>

/* An empty disk of the class at `path`; a class that makes no images: zeros. 0, or a negative code with `err`. */
int empty_image_make(const struct mt_plugin *plugin, const char *class_name, const char *path, struct mt_error *err);

#endif
