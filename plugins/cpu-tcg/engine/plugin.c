/* SPDX-License-Identifier: MIT */
/*
 * cpu-tcg: the translator as an accelerator. Attaches a front end (guest ISA), a host back end and the engine
 * to the cpu kind of the kernel.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <util/error.h>

#include "engine/engine.h"
#include "front/riscv/isa.h"

#define MT_NOTE_NAME     "cpu-tcg"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "dynamic translator"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.clock/1 mortise.vcpu-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     MT_CAP_JIT
#define MT_NOTE_CLASSES(C) \
	C(tcg, "cpu-tcg", MT_KIND_CPU, MT_CLASS_PARALLEL, "dynamic translator", "arch/riscv64", \
	  TCG_PROPS)
#define TCG_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..64", "", 0, "number of vCPUs") \
	P(c, isa, "isa", MT_PROP_STRING, RV_ISA_DEFAULT, "", "", 0, \
	  "instruction set: base and extensions, as in a device tree, or a profile and more") \
	P(c, ext_off, "ext-off", MT_PROP_LIST, "", "", "", 0, "extensions to leave out of isa") \
	P(c, mmu, "mmu", MT_PROP_ENUM, "sv48", "sv39|sv48|sv57", "", 0, "the largest page table that there is") \
	P(c, backend, "backend", MT_PROP_ENUM, "auto", "auto|x86_64|interp", "", 0, \
	  "how blocks are run: machine code of this host, or the portable interpreter") \
	P(c, code_cache, "code-cache", MT_PROP_SIZE, "48M", "1M..1G", "bytes", 0, "memory for translated code") \
	P(c, strict_lrsc, "strict-lrsc", MT_PROP_BOOL, "off", "", "", 0, \
	  "plain stores break reservations even when they write the same value")
#include <mortise/note-emit.h>

static const struct tcg_front *const fronts[] = { &front_riscv };

static const struct tcg_host *const hosts[] = {
#ifdef TCG_HOST_X86_64
	&host_x86_64,
#endif
	&host_interp,
};

/* --- the instance --- */

static const struct tcg_front *find_front(const char *isa)
{
	(void)isa;      /* one guest ISA so far; the front end refuses what it does not know */
	return fronts[0];
}

static const struct tcg_host *find_host(const char *name)
{
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if ((!strcmp(name, "auto") || !strcmp(name, hosts[i]->name)) && hosts[i]->usable())
			return hosts[i];
	return NULL;
}

static int tcg_probe(const struct mt_host *host, struct mt_error *err)
{
	(void)host, (void)err;
	return 0;
}

static void tcg_destroy(void *self)
{
	struct tcg *t = self;
	if (t->config)
		t->front->destroy(t->config);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->gate);
	pthread_cond_destroy(&t->gate_changed);
	free(t->vcpus);
	free(t);
}

static int tcg_create(const struct mt_host *host, struct mt_inst *inst, uint32_t vcpu_count, void **self,
		      struct mt_error *err)
{
	struct tcg *t = calloc(1, sizeof(*t));
	if (!t)
		return mt_error_set(err, MT_ENOMEM, "", "out of memory");
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->gate, NULL);
	pthread_cond_init(&t->gate_changed, NULL);
	t->services = (struct tcg_services){
		.host = host, .inst = inst,
		.props = host->get_interface(host, MT_IFACE_PROPS),
		.clock = host->get_interface(host, MT_IFACE_CLOCK),
		.vcpu = host->get_interface(host, MT_IFACE_VCPU_HOST),
	};
	const struct mt_props_host *props = t->services.props;
	t->vcpu_count = vcpu_count;
	t->vcpus = calloc(vcpu_count, sizeof(struct tcg_vcpu *));
	t->front = find_front(props->get_str(inst, "isa"));
	t->host = find_host(props->get_str(inst, "backend"));
	t->strict_lrsc = (uint32_t)props->get_u64(inst, "strict-lrsc");
	int rc = 0;
	if (!t->vcpus)
		rc = mt_error_set(err, MT_ENOMEM, "", "out of memory");
	else if (!t->host)
		rc = mt_error_set(err, MT_EHOST, "backend", "this host cannot run back end '%s'",
				  props->get_str(inst, "backend"));
	else
		rc = t->front->create(&t->services, vcpu_count, &t->config, err);
	if (rc < 0) {
		tcg_destroy(t);
		return rc;
	}
	*self = t;
	return 0;
}

static void tcg_unrealize(void *self)
{
	struct tcg *t = self;
	codebuf_fini(t);
	t->code_rw = NULL;
	t->code_rx = NULL;
	t->host_state = NULL;
	/* by the list: looking through the arrays would touch all of their pages */
	for (struct code_page *page = t->pages_made, *before; page; page = before) {
		before = page->made_before;
		free(page);
	}
	t->pages_made = NULL;
	for (uint32_t i = 0; i < t->ram_count; i++) {
		struct tcg_ram *r = &t->rams[i];
		munmap(r->pages, r->page_count * sizeof(*r->pages));
		/* no device is at work any more that could look at it */
		munmap(r->ram->code_pages, (r->page_count + 63) / 64 * 8);
		r->ram->code_pages = NULL;
	}
	t->ram_count = 0;
	if (t->buckets)
		munmap(t->buckets, BLOCK_BUCKETS * sizeof(*t->buckets));
	t->buckets = NULL;
}

static int tcg_realize(void *self, struct mt_error *err)
{
	struct tcg *t = self;
	void *buckets = mmap(NULL, BLOCK_BUCKETS * sizeof(*t->buckets), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buckets == MAP_FAILED)
		return mt_error_set(err, MT_ENOMEM, "", "out of memory");
	t->buckets = buckets;
	int rc = codebuf_init(t, t->services.props->get_u64(t->services.inst, "code-cache"), err);
	if (rc < 0)
		tcg_unrealize(t);
	return rc;
}

/* --- vCPUs --- */

static size_t env_bytes(const struct tcg *t)
{
	return (ENV_GUEST_OFFSET + t->front->state_bytes + 4095) & ~(size_t)4095;
}

static void timer_fired(void *arg)
{
	struct tcg_vcpu *v = arg;
	__atomic_store_n(&v->timer_ns, UINT64_MAX, __ATOMIC_RELAXED);
	tcg_rouse(v->env);
}

static void tcg_vcpu_destroy(void *vcpu)
{
	struct tcg_vcpu *v = vcpu;
	struct tcg *t = v->tcg;
	t->vcpus[v->index] = NULL;
	if (v->env) {
		t->front->vcpu_fini(v->env);
		munmap(v->env, env_bytes(t));
	}
	if (v->back)
		munmap(v->back, BACK_SIZE * sizeof(*v->back));
	if (v->ir)
		munmap(v->ir, sizeof(*v->ir));
	free(v);
}

static int vcpu_memory(struct tcg_vcpu *v, struct mt_error *err)
{
	/* from the system, zeroed and untouched: a short guest pays for what it uses */
	void *env = mmap(NULL, env_bytes(v->tcg), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *ir = mmap(NULL, sizeof(*v->ir), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *back = mmap(NULL, BACK_SIZE * sizeof(*v->back), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	v->back = back == MAP_FAILED ? NULL : back;
	v->env = env == MAP_FAILED ? NULL : env;
	v->ir = ir == MAP_FAILED ? NULL : ir;
	if (!v->env || !v->ir || !v->back)
		return mt_error_set(err, MT_ENOMEM, "", "out of memory");
	return 0;
}

static int tcg_vcpu_create(void *self, uint32_t index, struct mt_vcpu *handle, void **vcpu, struct mt_error *err)
{
	struct tcg *t = self;
	struct tcg_vcpu *v = calloc(1, sizeof(*v));
	if (!v)
		return mt_error_set(err, MT_ENOMEM, "", "out of memory");
	v->tcg = t;
	v->handle = handle;
	v->index = index;
	v->timer_ns = UINT64_MAX;
	v->watch_key = KEY_NONE;
	int rc = vcpu_memory(v, err);
	if (rc == 0) {
		v->env->vcpu = v;
		v->env->lines = t->lines;
		tlb_init(v);
		cache_flush_jumps(v);
		rc = t->front->vcpu_init(v->env, t->config, index, err);
	}
	if (rc == 0) {
		v->timer = t->services.clock->timer_create(t->services.inst, MT_CLOCK_GUEST, timer_fired, v);
		if (!v->timer)
			rc = mt_error_set(err, MT_ENOMEM, "", "out of memory");
	}
	if (rc < 0) {
		tcg_vcpu_destroy(v);
		return rc;
	}
	t->vcpus[index] = v;
	*vcpu = v;
	return 0;
}

static void tcg_vcpu_reset(void *vcpu, uint32_t kind)
{
	struct tcg_vcpu *v = vcpu;
	v->env->reservation = ~(uint64_t)0;
	v->tcg->front->reset(v->env, kind);
	tcg_flush_all(v->env);
}

static int tcg_run(void *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	return exec_run(vcpu, params, exit);
}

static void tcg_kick(void *vcpu)
{
	struct tcg_vcpu *v = vcpu;
	__atomic_store_n(&v->kick, 1, __ATOMIC_SEQ_CST);
	tcg_rouse(v->env);
}

/* --- roles --- */

static int32_t tcg_pin_find(void *self, const char *name)
{
	struct tcg *t = self;
	int32_t pin = t->front->pin_find(name);
	return pin < 0 ? MT_ENOENT : pin;
}

static void tcg_pin_set(void *vcpu, uint32_t pin, uint32_t level)
{
	struct tcg_vcpu *v = vcpu;
	v->tcg->front->pin_set(v->env, pin, level);
}

static int tcg_sysreg_bind(void *vcpu, const struct mt_sysreg_range *range, struct mt_error *err)
{
	struct tcg_vcpu *v = vcpu;
	return v->tcg->front->sysreg_bind(v->env, range, err);
}

static void tcg_sysreg_unbind(void *vcpu, const struct mt_sysreg_range *range)
{
	struct tcg_vcpu *v = vcpu;
	v->tcg->front->sysreg_unbind(v->env, range);
}

static uint32_t tcg_reg_count(void *self)
{
	struct tcg *t = self;
	return t->front->reg_count(t->config);
}

static int tcg_reg_describe(void *self, uint32_t index, struct mt_reg_desc *out)
{
	struct tcg *t = self;
	return t->front->reg_describe(t->config, index, out);
}

static int tcg_reg_read(void *vcpu, uint32_t number, uint64_t *value)
{
	struct tcg_vcpu *v = vcpu;
	return v->tcg->front->reg_read(v->env, number, value);
}

static int tcg_reg_write(void *vcpu, uint32_t number, uint64_t value)
{
	struct tcg_vcpu *v = vcpu;
	return v->tcg->front->reg_write(v->env, number, value);
}

static int tcg_fdt(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	struct tcg *t = self;
	return t->front->fdt(t->config, t->vcpu_count, fdt, w, err);
}

static int tcg_state_save(void *vcpu, struct mt_state_out *out, const struct mt_state_writer *w,
			  struct mt_error *err)
{
	struct tcg_vcpu *v = vcpu;
	(void)err;
	return v->tcg->front->save(v->env, out, w);
}

static int tcg_state_load(void *vcpu, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
			  struct mt_error *err)
{
	struct tcg_vcpu *v = vcpu;
	(void)version, (void)err;
	int rc = v->tcg->front->load(v->env, in, r);
	v->env->reservation = ~(uint64_t)0;
	tcg_flush_all(v->env);
	/* what waits for the time, or is pending already, is found by the poll */
	tcg_poll_request(v->env);
	return rc;
}

static const struct mt_cpu_class tcg_class = {
	.probe = tcg_probe,
	.create = tcg_create,
	.realize = tcg_realize,
	.unrealize = tcg_unrealize,
	.destroy = tcg_destroy,
	.vcpu_create = tcg_vcpu_create,
	.vcpu_destroy = tcg_vcpu_destroy,
	.vcpu_reset = tcg_vcpu_reset,
	.run = tcg_run,
	.kick = tcg_kick,
};

static const struct mt_cpu_pins tcg_pins = { .find = tcg_pin_find, .set = tcg_pin_set };

static const struct mt_cpu_sysreg tcg_sysreg = { .bind = tcg_sysreg_bind, .unbind = tcg_sysreg_unbind };

static const struct mt_cpu_regs tcg_regs = {
	.count = tcg_reg_count,
	.describe = tcg_reg_describe,
	.read = tcg_reg_read,
	.write = tcg_reg_write,
};

static const struct mt_state_class tcg_state = {
	.schema = "riscv64-hart", .version = 1, .version_min = 1, .save = tcg_state_save, .load = tcg_state_load,
};

static const struct mt_fdt_node tcg_fdt_node = { .describe = tcg_fdt };

static const void *tcg_get_class(const char *class_name, const char *id)
{
	if (strcmp(class_name, MT_NOTE_NAME))
		return NULL;
	if (!strcmp(id, MT_IFACE_CPU))
		return &tcg_class;
	if (!strcmp(id, MT_IFACE_CPU_PINS))
		return &tcg_pins;
	if (!strcmp(id, MT_IFACE_CPU_SYSREG))
		return &tcg_sysreg;
	if (!strcmp(id, MT_IFACE_CPU_REGS))
		return &tcg_regs;
	if (!strcmp(id, MT_IFACE_CPU_STATE))
		return &tcg_state;
	if (!strcmp(id, MT_IFACE_CPU_DEBUG))
		return &debug_class;
	if (!strcmp(id, MT_IFACE_FDT_NODE))
		return &tcg_fdt_node;
	return NULL;
}

static const struct mt_plugin tcg_plugin = { sizeof(tcg_plugin), MT_ABI_MAJOR, tcg_get_class };

const struct mt_plugin *mortise_plugin_entry(const struct mt_host *host, struct mt_error *err)
{
	(void)host, (void)err;
	return &tcg_plugin;
}
