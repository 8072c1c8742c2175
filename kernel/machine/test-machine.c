/* SPDX-License-Identifier: MIT */
/* The life of a machine of fake classes: order, failures at each step, properties, circles, two at a time. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/graph.h"
#include "kernel/machine/services.h"
#include "kernel/machine/test-fake.h"

#define HEAD "[machine]\nschema = 1\narch = riscv64\n[cpu]\nplugin = fake-cpu\n"
#define MEMORY "[memory ram]\nat = 0x80000000\nsize = 16M\n"

START_TEST(test_states)
{
	ck_assert(inst_may_move(INST_NEW, INST_CREATED));
	ck_assert(inst_may_move(INST_QUIESCED, INST_RUNNING));
	ck_assert(!inst_may_move(INST_NEW, INST_REALIZED));
	ck_assert(!inst_may_move(INST_RUNNING, INST_UNREALIZED));
	ck_assert(!inst_may_move(INST_UNREALIZED, INST_REALIZED));
	for (unsigned to = 0; to < INST_STATES; to++)
		ck_assert(!inst_may_move(INST_GONE, to));
}
END_TEST

/* `front` stands first in the file and names `back`. */
#define PAIR HEAD MEMORY "[boot]\nplugin = fake-boot\n[device front]\nplugin = fake-dev\nto = back\nirq = pic:3\n" \
	"[device back]\nplugin = fake-dev\n[device pic]\nplugin = fake-irq\n"

START_TEST(test_life)
{
	struct machine *m = fake_machine(PAIR);
	struct mt_error err = { .size = sizeof(err) };
	uint64_t value;

	fake_expect("create cpu\ncreate back\ncreate pic\ncreate front\ncreate boot\n");
	ck_assert_int_eq(machine_realize(m, &err), 0);
	fake_expect("realize cpu\nvcpu-create cpu\nrealize back\nrealize pic\nrealize front\nrealize boot\n");
	ck_assert_int_eq(machine_reset(m, MT_RESET_COLD, &err), 0);
	fake_expect("reset-1-1 back\nreset-1-1 pic\nreset-1-1 front\nreset-1-1 boot\nvcpu-reset cpu\n"
		    "reset-1-2 back\nreset-1-2 pic\nreset-1-2 front\nreset-1-2 boot\n"
		    "reset-1-3 back\nreset-1-3 pic\nreset-1-3 front\nreset-1-3 boot\n");
	value = fake_vcpu(m, 0)->reg[0];
	ck_assert_uint_eq(value, 0x80000000u);
	machine_start(m);
	fake_expect("resume back\nresume pic\nresume front\nresume boot\n");
	machine_pause(m);
	fake_expect("quiesce boot\nquiesce front\nquiesce pic\nquiesce back\n");
	machine_start(m);
	g_string_truncate(fake_trace, 0);
	machine_destroy(m);
	fake_expect("quiesce boot\nquiesce front\nquiesce pic\nquiesce back\n"
		    "unrealize boot\nrelease boot\nunrealize front\nrelease front\nunrealize pic\nrelease pic\n"
		    "unrealize back\nrelease back\nvcpu-destroy cpu\nunrealize cpu\n"
		    "destroy boot\ndestroy front\ndestroy pic\ndestroy back\ndestroy cpu\n");
}
END_TEST

START_TEST(test_refs)
{
	struct machine *m = fake_machine(PAIR);
	struct mt_inst *front = machine_find(m, "front"), *back = machine_find(m, "back");

	ck_assert_ptr_eq(inst_ref(front, "to"), back);
	ck_assert_ptr_eq(inst_ref(front, "irq"), machine_find(m, "pic"));
	ck_assert_ptr_null(inst_ref(back, "to"));
	ck_assert_uint_eq(back->refs_in->len, 1);
	ck_assert_ptr_eq(g_ptr_array_index(back->refs_in, 0), front);
	ck_assert_uint_eq(machine_find(m, "pic")->refs_in->len, 0);
	ck_assert_uint_gt(front->rank, back->rank);
	machine_destroy(m);
}
END_TEST

START_TEST(test_threads)
{
	struct machine *m = fake_machine(HEAD MEMORY "[device a]\nplugin = fake-dev\nthread = io0\n"
					 "[device b]\nplugin = fake-dev\nthread = io0\n"
					 "[device c]\nplugin = fake-dev\nthread = io1\n[device d]\nplugin = fake-dev\n");
	struct loop *io0 = machine_find(m, "a")->loop;

	ck_assert_ptr_ne(io0, m->loop);
	ck_assert_ptr_eq(machine_find(m, "b")->loop, io0);
	ck_assert_ptr_ne(machine_find(m, "c")->loop, io0);
	ck_assert_ptr_eq(machine_find(m, "d")->loop, m->loop);
	machine_destroy(m);
}
END_TEST

/* A bus lives longer than its devices, but enters them while it is entered. */
START_TEST(test_bus)
{
	struct machine *m = fake_machine(HEAD "[device dev]\nplugin = fake-dev\nbus = bus\nto = back\n"
					 "[device bus]\nplugin = fake-dev\n[device back]\nplugin = fake-dev\n");

	fake_expect("create cpu\ncreate back\ncreate bus\ncreate dev\n");
	ck_assert_uint_gt(machine_find(m, "bus")->rank, machine_find(m, "dev")->rank);
	ck_assert_uint_gt(machine_find(m, "dev")->rank, machine_find(m, "back")->rank);
	inst_enter(machine_find(m, "bus"));
	inst_enter(machine_find(m, "dev"));
	inst_enter(machine_find(m, "bus"));
	inst_leave(machine_find(m, "bus"));
	inst_leave(machine_find(m, "dev"));
	inst_leave(machine_find(m, "bus"));
	machine_destroy(m);
}
END_TEST

static void note_release(void *resource)
{
	g_string_append_printf(fake_trace, "release %d\n", *(int *)resource);
}

/* Last made, first released; what was disowned is not. */
START_TEST(test_resources)
{
	struct machine *m = fake_machine(PAIR);
	struct mt_inst *front = machine_find(m, "front");
	static const char key, other;
	int number[3] = { 1, 2, 3 };

	g_string_truncate(fake_trace, 0);
	for (int i = 0; i < 3; i++)
		inst_own(front, note_release, &number[i]);
	inst_disown(front, &number[1]);
	inst_disown(front, &number[1]);
	inst_release_all(front);
	fake_expect("release 3\nrelease 1\n");
	inst_data_set(front, &key, number);
	ck_assert_ptr_eq(inst_data_get(front, &key), number);
	ck_assert_ptr_null(inst_data_get(front, &other));
	ck_assert_ptr_null(inst_data_get(machine_find(m, "back"), &key));
	inst_data_set(front, &key, NULL);
	ck_assert_ptr_null(inst_data_get(front, &key));
	machine_destroy(m);
}
END_TEST

START_TEST(test_upward)
{
	struct machine *m = fake_machine(PAIR);

	inst_enter(machine_find(m, "back"));
	inst_enter(machine_find(m, "front"));   /* aborts */
}
END_TEST

/* One of three fails in realize: the ones before are undone in reverse, the ones after never begin. */
START_TEST(test_realize_fails)
{
	static const char *const ids[] = { "a", "b", "c" };
	GString *text = g_string_new(HEAD MEMORY), *expected = g_string_new("realize cpu\nvcpu-create cpu\n");
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m;

	for (int i = 0; i < 3; i++)
		g_string_append_printf(text, "[device %s]\nplugin = fake-dev\n%s", ids[i],
				       i == _i ? "fail = realize\n" : "");
	m = fake_machine(text->str);
	g_string_truncate(fake_trace, 0);
	ck_assert_int_eq(machine_realize(m, &err), MT_EIO);
	for (int i = 0; i < _i; i++)
		g_string_append_printf(expected, "realize %s\n", ids[i]);
	g_string_append_printf(expected, "release %s\n", ids[_i]);
	for (int i = _i; i-- > 0;)
		g_string_append_printf(expected, "unrealize %s\nrelease %s\n", ids[i], ids[i]);
	g_string_append(expected, "vcpu-destroy cpu\nunrealize cpu\n");
	fake_expect(expected->str);
	/* file, line and column of the property at fault, section, and the line itself */
	ck_assert_ptr_nonnull(strstr(err.message, "error: [device "));
	g_string_printf(expected, ":%d:8: ", 11 + 2 * _i);
	ck_assert_msg(strstr(err.message, expected->str) != NULL, "%s", err.message);
	ck_assert_msg(strstr(err.message, " | fail = realize\n      |        ^~~~~~~") != NULL, "%s", err.message);
	ck_assert_int_eq(fault_exit_code(&err), 1);
	machine_destroy(m);
	fake_expect("destroy c\ndestroy b\ndestroy a\ndestroy cpu\n");
	g_string_free(text, TRUE);
	g_string_free(expected, TRUE);
}
END_TEST

START_TEST(test_cpu_fails)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = fake_machine(HEAD "count = 3\nfail = realize\n[device a]\nplugin = fake-dev\n");

	g_string_truncate(fake_trace, 0);
	ck_assert_int_eq(machine_realize(m, &err), MT_EHOST);
	ck_assert_int_eq(fault_exit_code(&err), 3);
	fake_expect("");
	machine_destroy(m);

	m = fake_machine(HEAD "count = 3\nfail = vcpu\n[device a]\nplugin = fake-dev\n");
	g_string_truncate(fake_trace, 0);
	ck_assert_int_eq(machine_realize(m, &err), MT_ENOMEM);
	fake_expect("realize cpu\nvcpu-create cpu\nvcpu-destroy cpu\nunrealize cpu\n");
	machine_destroy(m);
}
END_TEST

static void refuse(const char *text, int code, const char *words)
{
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_ptr_null(machine_create_from(fake_config(text), &fake_source, &err));
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
}

START_TEST(test_create_fails)
{
	refuse(HEAD "[device a]\nplugin = fake-dev\n[device b]\nplugin = fake-dev\nfail = create\n", MT_EINVAL,
	       ":10:8: error: [device b]: fail: create fails as told");
	fake_expect("create cpu\ncreate a\ndestroy a\ndestroy cpu\n");
	refuse(HEAD "[device a]\nplugin = fake-other\n", MT_ENOENT, ":7:10: error: [device a]: plugin: no plugin has");
	refuse(HEAD "[device a]\nplugin = fake-none\n", MT_ENOTSUP, "no interface of its kind");
	refuse(HEAD "[memory ram]\nat = 0x1000\n", MT_EINVAL, "[memory ram]");
	refuse(HEAD "[memory ram]\nat = 0xfffffffffffff000\nsize = 8K\n", MT_EINVAL, "[memory ram]");
	refuse(HEAD "count = 5000\n", MT_ERANGE, "'count'");
	refuse("[cpu a]\nplugin = fake-cpu\n[cpu b]\nplugin = fake-cpu\n", MT_ENOTSUP, ":3:1: error: [cpu b]: ");
	refuse(HEAD "[device a]\nplugin = fake-dev\nto = a\n", MT_EINVAL, "circle");
}
END_TEST

START_TEST(test_reset_fails)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = fake_machine(HEAD "[device a]\nplugin = fake-dev\nfail = reset\n");

	ck_assert_int_eq(machine_realize(m, &err), 0);
	ck_assert_int_eq(machine_reset(m, MT_RESET_COLD, &err), MT_ENOENT);
	ck_assert_ptr_nonnull(strstr(err.message, ":6:1: error: [device a]: reset fails as told"));
	ck_assert_int_eq(fault_exit_code(&err), 2);
	machine_destroy(m);
}
END_TEST

static const struct note_class *class_of(void *arg, const struct config_section *section)
{
	const struct config_key *key = section_get(section, "plugin");
	const struct note_class *cls = NULL;
	struct mt_error err = { .size = sizeof(err) };

	(void)arg;
	return key && fake_source.find(&fake_source, key->value, &cls, &err) ? cls : NULL;
}

START_TEST(test_circle)
{
	struct config *cfg = fake_config("[device a]\nplugin = fake-dev\nto = b\n[device b]\nplugin = fake-dev\n"
					 "to = c\n[device c]\nplugin = fake-dev\nbus = b\n[device d]\n"
					 "plugin = fake-dev\nto = d\n");
	struct graph *g = graph_create(cfg, class_of, NULL);
	struct mt_error err = { .size = sizeof(err) };

	ck_assert(!graph_sort(g, &err));
	ck_assert_int_eq(err.code, MT_EINVAL);
	ck_assert_msg(strstr(err.message, ":9:1: error: [device c]: 'bus' closes a circle with 'to' of [device b] (") &&
		      strstr(err.message, ":6): none"), "%s", err.message);
	ck_assert_uint_eq(g->order->len, 4);
	graph_destroy(g);
	refuse("[device d]\nplugin = fake-dev\nto = d\n", MT_EINVAL, ":3:1: error: [device d]: 'to' closes a circle");
}
END_TEST

START_TEST(test_props)
{
	const struct mt_props_host *p = host_get()->get_interface(host_get(), MT_IFACE_PROPS);
	struct machine *m = fake_machine(HEAD "[device a]\nplugin = fake-dev\n[device b]\nplugin = fake-dev\n"
					 "at = 0x1000\nflag = off\nnumber = 0x20\nsize = 2M\ndelay = 3us\n"
					 "mode = many\ntext = \"a b\"\nlist.1 = one,1\nlist.2 = two\n"
					 "irq = a:1,a:2\nfile = x/y\n");
	struct mt_inst *a = machine_find(m, "a"), *b = machine_find(m, "b");
	const char *first;
	char *path;

	ck_assert_str_eq(p->id(a), "a");
	ck_assert_uint_eq(p->present(a, "at"), 0);
	ck_assert_uint_eq(p->present(a, "number"), 1);
	ck_assert_uint_eq(p->get_u64(a, "at"), 0);
	ck_assert_uint_eq(p->get_u64(a, "flag"), 1);
	ck_assert_uint_eq(p->get_u64(a, "number"), 7);
	ck_assert_uint_eq(p->get_u64(a, "size"), 65536);
	ck_assert_uint_eq(p->get_u64(a, "delay"), 5000000);
	ck_assert_str_eq(p->get_str(a, "mode"), "plain");
	ck_assert_ptr_null(p->get_str(a, "text"));
	ck_assert_uint_eq(p->count(a, "list"), 2);
	ck_assert_str_eq(p->get_element(a, "list", 1), "y");
	ck_assert_uint_eq(p->count(a, "irq"), 0);
	ck_assert_uint_eq(p->present(a, "unheard-of"), 0);
	ck_assert_uint_eq(p->get_u64(b, "at"), 0x1000);
	ck_assert_uint_eq(p->get_u64(b, "flag"), 0);
	ck_assert_uint_eq(p->get_u64(b, "number"), 32);
	ck_assert_uint_eq(p->get_u64(b, "size"), 2 << 20);
	ck_assert_uint_eq(p->get_u64(b, "delay"), 3000);
	ck_assert_uint_eq(p->get_u64(b, "mode"), 4);
	first = p->get_str(b, "text");
	ck_assert_str_eq(p->get_str(b, "number"), "0x20");
	ck_assert_str_eq(first, "a b");
	ck_assert_uint_eq(p->present(b, "list"), 1);
	ck_assert_uint_eq(p->count(b, "list"), 2);
	ck_assert_str_eq(p->get_element(b, "list", 0), "one,1");
	ck_assert_str_eq(p->get_str(b, "list"), "one,1,two");
	ck_assert_ptr_null(p->get_element(b, "list", 2));
	ck_assert_uint_eq(p->count(b, "irq"), 2);
	ck_assert_str_eq(p->get_element(b, "irq", 1), "a:2");
	/* relative to the folder of the machine file */
	path = g_build_filename(g_get_tmp_dir(), "x/y", NULL);
	ck_assert_str_eq(p->get_str(b, "file"), path);
	g_free(path);
	machine_destroy(m);
}
END_TEST

START_TEST(test_open)
{
	const struct mt_props_host *p = &props_host;
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = fake_machine(HEAD "[device a]\nplugin = fake-dev\nfile = /no-such-file-of-mortise\n"
					 "[device b]\nplugin = fake-dev\nfile = /dev/null\n");
	struct mt_inst *a = machine_find(m, "a"), *b = machine_find(m, "b");
	int fd = p->open_path(b, "file", MT_OPEN_WRITE, &err);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	ck_assert_int_eq(p->open_path(a, "file", MT_OPEN_READ, &err), MT_ENOENT);
	ck_assert_str_eq(err.message, "cannot open '/no-such-file-of-mortise': No such file or directory");
	ck_assert_str_eq(err.culprit, "file");
	ck_assert_int_eq(p->open_path(a, "text", MT_OPEN_READ, &err), MT_ENOENT);
	ck_assert_int_eq(p->open_path(b, "file", 9, &err), MT_EINVAL);
	machine_destroy(m);
}
END_TEST

START_TEST(test_host)
{
	const struct mt_host *host = host_get();

	for (size_t i = 0; host_interface_ids[i]; i++)
		ck_assert_ptr_nonnull(host->get_interface(host, host_interface_ids[i]));
	ck_assert_ptr_null(host->get_interface(host, "mortise.nothing/1"));
}
END_TEST

/* What the log wrote to standard error. */
static char *log_capture(struct machine *m, unsigned count)
{
	int saved = dup(STDERR_FILENO), ends[2];
	char *text = g_malloc0(65536);

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	for (unsigned i = 0; i < count; i++)
		log_message(m, machine_find(m, "cpu"), MT_LOG_GUEST, "bad \x1b[0m access %u", i);
	log_host.message(machine_find(m, "cpu"), MT_LOG_ERROR, "last");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	ck_assert_int_gt(read(ends[0], text, 65535), 0);
	close(ends[0]);
	return text;
}

START_TEST(test_log)
{
	struct machine *m = fake_machine(HEAD);
	char *text = log_capture(m, 1);

	ck_assert_str_eq(text, "mortise: [cpu] error: last\n");
	g_free(text);
	m->log.guest = true;
	text = log_capture(m, 1000);
	ck_assert_ptr_nonnull(strstr(text, "mortise: [cpu] guest: bad ?[0m access 19\nmortise: guest: more in"));
	ck_assert_ptr_null(strstr(text, "access 20"));
	g_free(text);
	machine_destroy(m);
}
END_TEST

START_TEST(test_two)
{
	struct machine *one = fake_ready(HEAD "count = 2\n" MEMORY "[device a]\nplugin = fake-dev\n");
	struct machine *two = fake_ready(HEAD MEMORY "[device a]\nplugin = fake-dev\nnumber = 9\n");

	ck_assert_ptr_ne(machine_find(one, "a"), machine_find(two, "a"));
	ck_assert_uint_eq(props_host.get_u64(machine_find(one, "a"), "number"), 7);
	ck_assert_uint_eq(props_host.get_u64(machine_find(two, "a"), "number"), 9);
	machine_start(one);
	machine_start(two);
	while (!fake_vcpu(one, 1)->runs || !fake_vcpu(two, 0)->runs)
		usleep(100);
	machine_destroy(one);
	machine_pause(two);
	machine_start(two);
	machine_destroy(two);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("machine");
	TCase *t = tcase_create("machine");

	tcase_add_checked_fixture(t, fake_setup, fake_teardown);
	tcase_add_test(t, test_states);
	tcase_add_test(t, test_life);
	tcase_add_test(t, test_refs);
	tcase_add_test(t, test_threads);
	tcase_add_test(t, test_bus);
	tcase_add_test(t, test_resources);
#if MORTISE_DEBUG
	tcase_add_test_raise_signal(t, test_upward, SIGABRT);
#else
	(void)test_upward;
#endif
	tcase_add_loop_test(t, test_realize_fails, 0, 3);
	tcase_add_test(t, test_cpu_fails);
	tcase_add_test(t, test_create_fails);
	tcase_add_test(t, test_reset_fails);
	tcase_add_test(t, test_circle);
	tcase_add_test(t, test_props);
	tcase_add_test(t, test_open);
	tcase_add_test(t, test_host);
	tcase_add_test(t, test_log);
	tcase_add_test(t, test_two);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
