/* SPDX-License-Identifier: MIT */
/*
 * The fake host's life and its table of services; see fake.h. One thread. Calls into the plugin keep the order
 * of mortise/draft/device.h, and a test that breaks it ends at once: the order is what plugins may rely on.
 */
#include "block-internal.h"
#include "internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/error.h"

static void log_message(struct mt_inst *inst, uint32_t level, const char *text)
{
	struct fake *f = inst->fake;

	if (level < 8)
		f->log_counts[level]++;
	snprintf(f->log_last, sizeof(f->log_last), "%s", text);
}

static const struct mt_log_host log_host = { .message = log_message };

static uint32_t thread_current(void)
{
	return MT_THREAD_MAIN;
}

static const struct mt_thread_check thread_check = { .current = thread_current };

static void *accelerator_self(struct mt_inst *inst)
{
	return inst->fake->accelerator;
}

static const struct mt_accelerator_host accelerator_host = { .self = accelerator_self };

void fake_accelerator(struct fake *f, void *self)
{
	f->accelerator = self;
}

static void kick_caught(int signal)
{
	(void)signal;
}

static uint32_t kick_signal(void)
{
	const struct sigaction action = { .sa_handler = kick_caught, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &action, NULL);
	return SIGUSR1;
}

static const struct mt_kick_host kick_host = { .signal = kick_signal };

static const struct { const char *id; const void *table; } services[] = {
	{ MT_IFACE_ACCELERATOR, &accelerator_host },
	{ MT_IFACE_PROPS, &fake_props_host },
	{ MT_IFACE_MMIO, &fake_mmio_host },
	{ MT_IFACE_IRQ, &fake_irq_host },
	{ MT_IFACE_KICK, &kick_host },
	{ MT_IFACE_CLOCK, &fake_clock_host },
	{ MT_IFACE_LOOP, &fake_loop_host },
	{ MT_IFACE_WORKER, &fake_worker_host },
	{ MT_IFACE_CHAR_HOST, &fake_char_host },
	{ MT_IFACE_NET_HOST, &fake_net_host },
	{ MT_IFACE_VIRTQUEUE, &fake_virtqueue_host },
	{ MT_IFACE_DMA, &fake_dma_host },
	{ MT_IFACE_BOOT, &fake_boot_host },
	{ MT_IFACE_PCI, &fake_pci_host },
	{ MT_IFACE_BLOCK_NODE, &fake_block_node },
	{ MT_IFACE_BLOCK_CACHE, &fake_block_cache },
	{ MT_IFACE_BLOCK_SERVED, &fake_block_served },
	{ MT_IFACE_SYSREG_HOST, &fake_sysreg_host },
	{ MT_IFACE_VECTOR_HOST, &fake_vector_host },
	{ MT_IFACE_MSI_HOST, &fake_msi_host },
	{ MT_IFACE_LOG, &log_host },
	{ MT_IFACE_THREAD_CHECK, &thread_check },
};

static const void *get_interface(const struct mt_host *host, const char *id)
{
	const struct fake *f = (const struct fake *)host;

	for (uint32_t i = 0; i < f->hidden_count; i++)
		if (!strcmp(f->hidden[i], id))
			return NULL;
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (!strcmp(services[i].id, id))
			return services[i].table;
	return NULL;
}

struct fake *fake_new(const char *class_name)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct mt_error err;

	if (!f)
		fake_die("no memory");
	mt_error_init(&err);
	f->host = (struct mt_host){ sizeof(f->host), MT_ABI_MAJOR, "fake", get_interface };
	f->inst.fake = f;
	snprintf(f->class_name, sizeof(f->class_name), "%s", class_name);
	snprintf(f->id, sizeof(f->id), "dut");
	f->vcpu_count = 1;
	f->timebase_hz = 10000000;
	f->guest_time.running = 1;
	f->guest_time.timebase_hz = f->timebase_hz;
	f->chr.fake = f;
	f->chr.room = UINT32_MAX;
	f->net.room = UINT32_MAX;
	f->dma.fake = f;
	f->ram_gpa = 0x80000000;
	f->ram.len_bytes = 1 << 20;
	f->boot_tree_bytes = 4096;
	f->plugin = mortise_plugin_entry(&f->host, &err);
	if (!f->plugin)
		fake_die("mortise_plugin_entry: %s", err.message);
	f->dev = fake_role(f, MT_IFACE_DEVICE);
	return f;
}

void fake_id(struct fake *f, const char *id)
{
	snprintf(f->id, sizeof(f->id), "%s", id);
}

void fake_free(struct fake *f)
{
	if (!f)
		return;
	if (f->state == FAKE_RUNNING && f->dev->quiesce)
		f->dev->quiesce(f->self);
	if ((f->state == FAKE_RUNNING || f->state == FAKE_REALIZED) && f->dev->unrealize)
		f->dev->unrealize(f->self);
	if (f->state != FAKE_NEW && f->state != FAKE_DEAD)
		f->dev->destroy(f->self);
	if (f->dma.mapped)
		fake_die("%u mapping(s) of guest memory were not ended", f->dma.mapped);
	for (uint32_t i = 0; i < f->prop_count; i++)
		free(f->props[i].text);
	fake_ram_free(f);
	fake_pci_end(f);
	fake_virtio_free(f);
	fake_net_free(f);
	fake_block_end(f);
	free(f->jobs);
	free(f->chr.out);
	free(f->fdt_text);
	free(f->boot_tree);
	free(f->boot_args);
	free(f);
}

const struct mt_host *fake_host(struct fake *f)
{
	return &f->host;
}

struct mt_inst *fake_inst(struct fake *f)
{
	return &f->inst;
}

void *fake_self(struct fake *f)
{
	return f->self;
}

const void *fake_role(struct fake *f, const char *iface_id)
{
	return f->plugin->get_class(f->class_name, iface_id);
}

void fake_hide(struct fake *f, const char *iface_id)
{
	if (f->hidden_count == 8)
		fake_die("too many hidden services");
	snprintf(f->hidden[f->hidden_count++], sizeof(f->hidden[0]), "%s", iface_id);
}

int fake_create(struct fake *f, struct mt_error *err)
{
	int rc;

	if (f->state != FAKE_NEW || !f->dev)
		fake_die("create: no device class %s, or created already", f->class_name);
	fake_ram_make(f);
	rc = f->dev->create(&f->host, &f->inst, &f->self, err);
	f->state = rc ? FAKE_DEAD : FAKE_CREATED;
	return rc;
}

int fake_realize(struct fake *f, struct mt_error *err)
{
	int rc;

	if (f->state != FAKE_CREATED)
		fake_die("realize: not in state created");
	rc = f->dev->realize(f->self, err);
	if (rc) {
		/* a failed realize has undone itself: destroy follows, unrealize does not */
		f->dev->destroy(f->self);
		f->state = FAKE_DEAD;
		return rc;
	}
	f->state = FAKE_REALIZED;
	return 0;
}

int fake_reset(struct fake *f, uint32_t kind, struct mt_error *err)
{
	int rc = 0;

	if (f->state != FAKE_REALIZED && f->state != FAKE_RUNNING)
		fake_die("reset: not realized");
	if (f->state == FAKE_RUNNING && f->dev->quiesce)
		f->dev->quiesce(f->self);
	f->state = FAKE_REALIZED;
	for (uint32_t phase = MT_RESET_ENTER; f->dev->reset && phase <= MT_RESET_EXIT && !rc; phase++)
		rc = f->dev->reset(f->self, kind, phase, err);
	if (rc)
		return rc;
	if (f->dev->resume)
		f->dev->resume(f->self);
	f->state = FAKE_RUNNING;
	return 0;
}

void fake_start(struct fake *f)
{
	struct mt_error err;

	mt_error_init(&err);
	if (fake_create(f, &err) || fake_realize(f, &err) || fake_reset(f, MT_RESET_COLD, &err))
		fake_die("start: %s: %s", err.culprit, err.message);
}

uint32_t fake_log_count(struct fake *f, uint32_t level)
{
	return level < 8 ? f->log_counts[level] : 0;
}

const char *fake_log_last(struct fake *f)
{
	return f->log_last;
}
