/* SPDX-License-Identifier: MIT */
/* The text of a VMDK disk: what is taken from it, and what is refused. */
#include <fake/check-run.h>
#include <stdio.h>
#include <string.h>
#include <util/error.h>

#include "descriptor.h"

static void text_refused(const char *text, const char *words)
{
	struct vmdk_descriptor d;
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_int_lt(descriptor_parse(&d, text, (uint32_t)strlen(text), &err), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' does not say '%s'", err.message, words);
	descriptor_fini(&d);
}

#define TEXT "# Disk DescriptorFile\nversion=1\nCID=00000001\n"

START_TEST(hostile_descriptors)
{
	char *many = malloc(100000);
	uint32_t n = (uint32_t)sprintf(many, TEXT);

	text_refused("hello", "no VMDK descriptor");
	text_refused(TEXT, "names no extent");
	text_refused(TEXT "RW 100 SESPARSE \"a\"\n", "SESPARSE");
	text_refused(TEXT "RW 100 VMFSRDM \"a\"\n", "VMFSRDM");
	text_refused(TEXT "NOACCESS 100 FLAT \"a\"\n", "accessed");
	text_refused(TEXT "RW 0 FLAT \"a\"\n", "size");
	text_refused(TEXT "RW 99999999999999999999 FLAT \"a\"\n", "size");
	text_refused(TEXT "RW 999999999999999999 FLAT \"a\"\n", "size");
	text_refused(TEXT "RW 1 FLAT a\n", "name");
	text_refused(TEXT "RW 1 FLAT \"a\n", "name");
	text_refused(TEXT "RW 1 FLAT \"\"\n", "name");
	text_refused(TEXT "RW 1 FLAT \"a\" x\n", "offset");
	text_refused(TEXT "CID=zz\nRW 1 ZERO\n", "CID");
	text_refused(TEXT "parentCID=123456789\nRW 1 ZERO\n", "parentCID");
	text_refused(TEXT "parentFileNameHint=\"a\"\nparentFileNameHint=\"b\"\nRW 1 ZERO\n", "parent");
	for (uint32_t i = 0; i <= VMDK_EXTENTS_MAX; i++)
		n += (uint32_t)sprintf(many + n, "RW 1 ZERO\n");
	text_refused(many, "more than 1024");
	free(many);
}
END_TEST

START_TEST(descriptor_details)
{
	static const char text[] = "# Disk DescriptorFile\r\nversion=1\r\n cid = 0badcafe\r\nparentCID=00000002\r\n"
		"createType=\"twoGbMaxExtentFlat\"\r\nparentFileNameHint=\"../base disk.vmdk\"\r\n"
		"RW 10 FLAT \"a b.vmdk\" 63\r\nRDONLY 20 ZERO\r\n# RW 5 ZERO\r\n\0RW 7 ZERO\n";
	struct vmdk_descriptor d;

	ck_assert_int_eq(descriptor_parse(&d, text, sizeof(text), NULL), 0);
	ck_assert_uint_eq(d.cid, 0x0badcafe);
	ck_assert_mem_eq(text + d.cid_at, "0badcafe", 8);
	ck_assert_uint_eq(d.cid_digits, 8);
	ck_assert_uint_eq(d.parent_cid, 2);
	ck_assert_str_eq(d.parent_name, "../base disk.vmdk");
	ck_assert_uint_eq(d.line_count, 2);
	ck_assert_str_eq(d.lines[0].name, "a b.vmdk");
	ck_assert_uint_eq(d.lines[0].offset_sectors, 63);
	ck_assert_int_eq(d.lines[1].readonly, 1);
	descriptor_fini(&d);
}
END_TEST

int main(void)
{
	CHECK_RUN("descriptor", NULL, NULL, hostile_descriptors, descriptor_details);
}
