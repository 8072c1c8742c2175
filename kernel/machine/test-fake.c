/* SPDX-License-Identifier: MIT */
/* See test-fake.h. Everything here is static data of one test process; libcheck forks for each test. */
#include "kernel/machine/test-fake.h"

#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/config/diag.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"

GString *fake_trace;
int (*fake_run)(struct fake_vcpu *vcpu, const struct mt_run_params *params, struct mt_exit *exit);

static void trace(const struct mt_inst *inst, const char *what)
{
	g_string_append_printf(fake_trace, "%s %s\n", what, inst->id);
}

/* Devices. `self` is the instance. */

static bool fails(struct mt_inst *inst, const char *step)
{
	const char *at = props_host.get_str(inst, "fail");

	return at && !strcmp(at, step);
}

static void released(void *resource)
{
	trace(resource, "release");
}

static int dev_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	(void)host;
	if (fails(inst, "create"))
		return fault_set(err, MT_EINVAL, "fail", "set it to none", "create fails as told");
	*self = inst;
	trace(inst, "create");
	return 0;
}

static int dev_realize(void *self, struct mt_error *err)
{
	inst_own(self, released, self);
	if (fails(self, "realize"))
		return fault_set(err, MT_EIO, "fail", NULL, "realize fails as told");
	trace(self, "realize");
	return 0;
}

static int dev_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	char text[32];

	if (fails(self, "reset") && phase == MT_RESET_HOLD)
		return fault_set(err, MT_ENOENT, NULL, NULL, "reset fails as told");
	g_snprintf(text, sizeof(text), "reset-%u-%u", kind, phase);
	trace(self, text);
	return 0;
}

static void dev_quiesce(void *self) { trace(self, "quiesce"); }
static void dev_resume(void *self) { trace(self, "resume"); }
static void dev_unrealize(void *self) { trace(self, "unrealize"); }
static void dev_destroy(void *self) { trace(self, "destroy"); }

static const struct mt_device_class dev_class = {
	dev_create, dev_realize, dev_reset, dev_quiesce, dev_resume, dev_unrealize, dev_destroy,
};

/* The loader sets registers when the vCPUs have been reset. */
static int boot_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct mt_inst *inst = self;
	uint64_t value = 0;

	for (uint32_t i = 0; phase == MT_RESET_EXIT && i < boot_host.vcpu_count(inst); i++) {
		ck_assert_int_eq(boot_host.vcpu_set(inst, i, "pc", 0x80000000u), 0);
		ck_assert_int_eq(boot_host.vcpu_set(inst, i, "a0", i), 0);
		ck_assert_int_eq(boot_host.vcpu_set(inst, i, "nothing", 0), MT_ENOENT);
		ck_assert_int_eq(boot_host.vcpu_get(inst, i, "pc", &value), 0);
		ck_assert_uint_eq(value, 0x80000000u);
		ck_assert_int_eq(boot_host.vcpu_get(inst, i, "nothing", &value), MT_ENOENT);
	}
	return dev_reset(self, kind, phase, err);
}

static const struct mt_device_class boot_class = {
	dev_create, dev_realize, boot_reset, dev_quiesce, dev_resume, dev_unrealize, dev_destroy,
};

static uint32_t sink_count(void *self) { (void)self; return 32; }
static void sink_set(void *self, uint32_t input, uint32_t level) { (void)self; (void)input; (void)level; }

static uint32_t sink_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	cells[1] = 4;
	return 2;
}

static const struct mt_irq_sink sink = { sink_count, sink_set, sink_cells };

static int dev_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const char *const compatible[] = { "fake,serial", "ns16550a" };
	const char *mode = props_host.get_str(self, "mode");

	if (!strcmp(mode, "silent"))
		return 0;
	if (!strcmp(mode, "wrong"))
		return fault_set(err, MT_EINVAL, "mode", NULL, "describe fails as told");
	w->begin(fdt, "serial", "at");
	w->strs(fdt, "compatible", compatible, 2);
	w->irqs(fdt, "irq");
	w->ref(fdt, "backend", "to");
	w->u64(fdt, "wide", 0x123456789abcdef0ull);
	w->empty(fdt, "flag");
	if (!strcmp(mode, "open"))
		return 0;
	if (!strcmp(mode, "many")) {
		for (unsigned i = 0; i < 3000; i++) {
			char name[32];

			g_snprintf(name, sizeof(name), "port%u", i);
			w->begin(fdt, name, NULL);
			w->str(fdt, "label", name);
			w->end(fdt);
		}
	}
	w->end(fdt);
	return 0;
}

static const struct mt_fdt_node dev_node = { dev_describe };

static int sink_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const uint32_t two = 2, causes[] = { 11, 9 };

	(void)self, (void)err;
	w->begin(fdt, "interrupt-controller", "at");
	w->self_phandle(fdt);
	w->u32s(fdt, "#interrupt-cells", &two, 1);
	w->empty(fdt, "interrupt-controller");
	w->vcpu_irqs(fdt, "interrupts-extended", causes, 2);
	w->end(fdt);
	return 0;
}

static const struct mt_fdt_node sink_node = { sink_describe };

/* The accelerator. */

struct fake_cpu {
	struct mt_inst *inst;
	uint32_t count;
	struct fake_vcpu vcpu[FAKE_VCPUS];
};

static int cpu_probe(const struct mt_host *host, struct mt_error *err) { (void)host, (void)err; return 0; }

static int cpu_create(const struct mt_host *host, struct mt_inst *inst, uint32_t vcpu_count, void **self,
		      struct mt_error *err)
{
	struct fake_cpu *cpu;

	(void)host, (void)err;
	ck_assert_uint_le(vcpu_count, FAKE_VCPUS);
	cpu = g_new0(struct fake_cpu, 1);
	cpu->inst = inst;
	cpu->count = vcpu_count;
	*self = cpu;
	trace(inst, "create");
	return 0;
}

static int cpu_realize(void *self, struct mt_error *err)
{
	struct fake_cpu *cpu = self;

	if (fails(cpu->inst, "realize"))
		return fault_set(err, MT_EHOST, NULL, NULL, "realize fails as told");
	trace(cpu->inst, "realize");
	return 0;
}

static void cpu_unrealize(void *self) { trace(((struct fake_cpu *)self)->inst, "unrealize"); }

static void cpu_destroy(void *self)
{
	trace(((struct fake_cpu *)self)->inst, "destroy");
	g_free(self);
}

static int cpu_vcpu_create(void *self, uint32_t index, struct mt_vcpu *handle, void **vcpu, struct mt_error *err)
{
	struct fake_cpu *cpu = self;

	if (index == 1 && fails(cpu->inst, "vcpu"))
		return fault_set(err, MT_ENOMEM, NULL, NULL, "vcpu_create fails as told");
	cpu->vcpu[index].handle = handle;
	cpu->vcpu[index].index = index;
	cpu->vcpu[index].machine = cpu->inst->machine;
	*vcpu = &cpu->vcpu[index];
	trace(cpu->inst, "vcpu-create");
	return 0;
}

static void cpu_vcpu_destroy(void *vcpu)
{
	struct fake_vcpu *v = vcpu;

	trace(((struct machine *)v->machine)->cpu, "vcpu-destroy");
}

static void cpu_vcpu_reset(void *vcpu, uint32_t kind)
{
	struct fake_vcpu *v = vcpu;

	(void)kind;
	memset(v->reg, 0, sizeof(v->reg));
	trace(((struct machine *)v->machine)->cpu, "vcpu-reset");
}

static int spin(struct fake_vcpu *vcpu, struct mt_exit *exit)
{
	while (!atomic_exchange(&vcpu->kicked, 0))
		usleep(10);
	exit->reason = MT_EXIT_KICKED;
	return 0;
}

static int cpu_run(void *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	struct fake_vcpu *v = vcpu;

	if (!v->tid)
		v->tid = gettid();
	ck_assert_int_eq(v->tid, gettid());
	ck_assert_uint_eq(inst_thread_current(), MT_THREAD_VCPU);
	atomic_fetch_add(&v->runs, 1);
	return fake_run ? fake_run(v, params, exit) : spin(v, exit);
}

static void cpu_kick(void *vcpu) { atomic_store(&((struct fake_vcpu *)vcpu)->kicked, 1); }

static const struct mt_cpu_class cpu_class = {
	cpu_probe, cpu_create, cpu_realize, cpu_unrealize, cpu_destroy, cpu_vcpu_create, cpu_vcpu_destroy,
	cpu_vcpu_reset, cpu_run, cpu_kick,
};

static int32_t pin_find(void *self, const char *name)
{
	(void)self;
	return name[0] == 'p' && name[1] >= '0' && name[1] <= '3' ? name[1] - '0' : MT_ENOENT;
}

static void pin_set(void *vcpu, uint32_t pin, uint32_t level)
{
	atomic_store(&((struct fake_vcpu *)vcpu)->pin[pin], level);
}

static const struct mt_cpu_pins cpu_pins = { pin_find, pin_set };

/* One range a vCPU, of numbers below 0x1000. */
static int sysreg_bind(void *vcpu, const struct mt_sysreg_range *range, struct mt_error *err)
{
	struct fake_vcpu *v = vcpu;

	if (range->last >= 0x1000)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "no such registers");
	if (v->sysregs.ops)
		return fault_set(err, MT_EBUSY, NULL, NULL, "owned already");
	v->sysregs = *range;
	return 0;
}

static void sysreg_unbind(void *vcpu, const struct mt_sysreg_range *range)
{
	struct fake_vcpu *v = vcpu;

	ck_assert_ptr_eq(v->sysregs.arg, range->arg);
	memset(&v->sysregs, 0, sizeof(v->sysregs));
}

static const struct mt_cpu_sysreg cpu_sysreg = { sysreg_bind, sysreg_unbind };

/* One controller a vCPU; the last vCPU takes none. */
static int vector_bind(void *vcpu, const struct mt_vector_ops *ops, void *arg, struct mt_error *err)
{
	struct fake_vcpu *v = vcpu;

	if (v->index == FAKE_VCPUS - 1)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "no vectors for this one");
	if (v->vector_ops)
		return fault_set(err, MT_EBUSY, NULL, NULL, "has a controller already");
	v->vector_ops = ops;
	v->vector_arg = arg;
	return 0;
}

static void vector_unbind(void *vcpu)
{
	struct fake_vcpu *v = vcpu;

	ck_assert_ptr_nonnull(v->vector_ops);
	v->vector_ops = NULL;
}

static void vector_request(void *vcpu, uint32_t level)
{
	atomic_store(&((struct fake_vcpu *)vcpu)->request, level);
}

static void vector_event(void *vcpu, uint32_t event, uint32_t value)
{
	atomic_store(&((struct fake_vcpu *)vcpu)->event_value, value);
	atomic_store(&((struct fake_vcpu *)vcpu)->event, event);
}

static const struct mt_cpu_vector cpu_vector = { vector_bind, vector_unbind, vector_request, vector_event };

static int32_t source_acknowledge(void *self) { trace(self, "acknowledge"); return 0x44; }

static const struct mt_vector_source vector_source = { source_acknowledge };

static const char *const reg_names[] = { "pc", "a0", "a1", "zero" };

static uint32_t reg_count(void *self) { (void)self; return 4; }

static int reg_describe(void *self, uint32_t index, struct mt_reg_desc *out)
{
	(void)self;
	out->number = index;
	out->width_bytes = 8;
	g_strlcpy(out->name, reg_names[index], sizeof(out->name));
	return 0;
}

static int reg_read(void *vcpu, uint32_t number, uint64_t *value)
{
	*value = ((struct fake_vcpu *)vcpu)->reg[number];
	return 0;
}

static int reg_write(void *vcpu, uint32_t number, uint64_t value)
{
	((struct fake_vcpu *)vcpu)->reg[number] = value;
	return 0;
}

static const struct mt_cpu_regs cpu_regs = { reg_count, reg_describe, reg_read, reg_write };

static int cpu_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	struct fake_cpu *cpu = self;

	(void)err;
	w->u32s(fdt, "fake,count", &cpu->count, 1);
	for (uint32_t i = 0; i < cpu->count; i++) {
		char name[16];
		uint32_t intc = w->vcpu_intc_phandle(fdt, i), self_phandle = w->vcpu_phandle(fdt, i);

		g_snprintf(name, sizeof(name), "cpu@%x", i);
		w->begin(fdt, name, NULL);
		w->u32s(fdt, "reg", &i, 1);
		w->u32s(fdt, "phandle", &self_phandle, 1);
		w->begin(fdt, "interrupt-controller", NULL);
		w->u32s(fdt, "phandle", &intc, 1);
		w->end(fdt);
		w->end(fdt);
	}
	return 0;
}

static const struct mt_fdt_node cpu_node = { cpu_describe };

static int system_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	(void)self, (void)err;
	w->begin(fdt, "firmware-calls", NULL);
	w->str(fdt, "method", "fake");
	w->end(fdt);
	return 0;
}

static const struct mt_fdt_node system_node = { system_describe };

/* Notes and plugins. */

#define P(name, type, deflt, range) { name, deflt, range, "", "", type, 0 }

static const struct note_prop dev_props[] = {
	P("at", MT_PROP_ADDR, "", "0x100"), P("to", MT_PROP_REF, "", ""), P("bus", MT_PROP_REF, "", ""),
	P("irq", MT_PROP_IRQ, "", ""), P("flag", MT_PROP_BOOL, "on", ""), P("number", MT_PROP_INT, "7", "0..100"),
	P("size", MT_PROP_SIZE, "64K", ""), P("delay", MT_PROP_DURATION, "5ms", ""),
	P("mode", MT_PROP_ENUM, "plain", "plain|silent|wrong|open|many"), P("text", MT_PROP_STRING, "", ""),
	P("file", MT_PROP_PATH, "", ""), P("list", MT_PROP_LIST, "x, y", ""),
	P("fail", MT_PROP_ENUM, "none", "none|create|realize|reset"),
};

static const struct note_prop cpu_props[] = {
	P("fail", MT_PROP_ENUM, "none", "none|realize|vcpu"),
};

const void *(*fake_role)(const char *class_name, const char *id);

static const void *get_class(const char *name, const char *id)
{
	const void *role = fake_role ? fake_role(name, id) : NULL;

	if (role)
		return role;
	if (!strcmp(name, "fake-cpu"))
		return !strcmp(id, MT_IFACE_CPU) ? (const void *)&cpu_class :
		       !strcmp(id, MT_IFACE_CPU_PINS) ? (const void *)&cpu_pins :
		       !strcmp(id, MT_IFACE_CPU_REGS) ? (const void *)&cpu_regs :
		       !strcmp(id, MT_IFACE_CPU_SYSREG) ? (const void *)&cpu_sysreg :
		       !strcmp(id, MT_IFACE_CPU_VECTOR) ? (const void *)&cpu_vector :
		       !strcmp(id, MT_IFACE_FDT_NODE) ? (const void *)&cpu_node :
		       !strcmp(id, MT_IFACE_FDT_SYSTEM) ? (const void *)&system_node : NULL;
	if (!strcmp(id, MT_IFACE_DEVICE))
		return !strcmp(name, "fake-boot") ? &boot_class : strcmp(name, "fake-none") ? &dev_class : NULL;
	if (!strcmp(name, "fake-irq"))
		return !strcmp(id, MT_IFACE_IRQ_SINK) ? (const void *)&sink :
		       !strcmp(id, MT_IFACE_VECTOR_SOURCE) ? (const void *)&vector_source :
		       !strcmp(id, MT_IFACE_FDT_NODE) ? (const void *)&sink_node : NULL;
	return !strcmp(name, "fake-dev") && !strcmp(id, MT_IFACE_FDT_NODE) ? &dev_node : NULL;
}

static const struct mt_plugin plugin = { sizeof(plugin), MT_ABI_MAJOR, get_class };

#define DEV(name, kind, flags) { name, "", "", kind, flags, dev_props, G_N_ELEMENTS(dev_props), NULL }
static const struct note_class classes[] = {
	DEV("fake-dev", MT_KIND_DEVICE, 0), DEV("fake-irq", MT_KIND_DEVICE, MT_CLASS_PARALLEL),
	DEV("fake-boot", MT_KIND_BOOT, 0), DEV("fake-none", MT_KIND_DEVICE, 0),
	{ "fake-cpu", "", "", MT_KIND_CPU, MT_CLASS_PARALLEL, cpu_props, G_N_ELEMENTS(cpu_props), NULL },
};

static const struct mt_plugin *source_find(struct machine_source *source, const char *class_name,
					   const struct note_class **cls, struct mt_error *err)
{
	(void)source;
	for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
		if (!strcmp(classes[i].name, class_name)) {
			*cls = &classes[i];
			return &plugin;
		}
	}
	fault_set(err, MT_ENOENT, NULL, NULL, "no plugin has the class '%s'", class_name);
	return NULL;
}

struct machine_source fake_source = { .find = source_find };

/* Machines. */

static GPtrArray *configs;

static void config_free(void *config)
{
	config_destroy(config);
}

void fake_setup(void)
{
	fake_trace = g_string_new(NULL);
	fake_run = NULL;
	configs = g_ptr_array_new_with_free_func(config_free);
}

void fake_teardown(void)
{
	g_string_free(fake_trace, TRUE);
	g_ptr_array_unref(configs);
}

struct config *fake_config(const char *text)
{
	struct config_options options = { .machine_dirs = (const char *const[]){ NULL } };
	struct diag *d = diag_create();
	struct config *cfg;
	char *path;
	int fd = g_file_open_tmp("mortise-test-XXXXXX", &path, NULL);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	cfg = config_load(path, &options, d);
	unlink(path);
	g_free(path);
	if (diag_errors(d))
		diag_print_text(d, stderr);
	ck_assert_uint_eq(diag_errors(d), 0);
	diag_destroy(d);
	g_ptr_array_add(configs, cfg);
	return cfg;
}

struct machine *fake_machine(const char *text)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = machine_create_from(fake_config(text), &fake_source, &err);

	if (!m)
		fault_print(&err);
	ck_assert_ptr_nonnull(m);
	return m;
}

struct machine *fake_ready(const char *text)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = fake_machine(text);

	if (machine_realize(m, &err) < 0 || machine_reset(m, MT_RESET_COLD, &err) < 0)
		ck_abort_msg("%s", err.message);
	return m;
}

struct fake_vcpu *fake_vcpu(struct machine *m, uint32_t index)
{
	return &((struct fake_cpu *)m->cpu->self)->vcpu[index];
}

void fake_expect(const char *expected)
{
	ck_assert_str_eq(fake_trace->str, expected);
	g_string_truncate(fake_trace, 0);
}
