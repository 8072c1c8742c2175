/* SPDX-License-Identifier: MIT */
/* What the driver reads of the power button, the events of a press, and the button's saved state. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <mortise/draft/power.h>
#include <mortise/draft/virtio.h>

#include "button.h"

static struct fake *f;
static struct button chip;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-virtio-button");

	fake_prop(made, "bus", "bus1");
	return made;
}

static void start(void)
{
	f = make();
	fake_start(f);
	button_reset(&chip);
}

static void stop(void)
{
	fake_free(f);
}

static uint8_t ask(uint8_t select, uint8_t subsel, uint8_t data[128])
{
	const uint8_t selectors[2] = { select, subsel };
	uint8_t config[BUTTON_CONFIG_BYTES];

	button_config_write(&chip, 0, selectors, 2);
	button_config_read(&chip, 0, config, sizeof(config));
	ck_assert_uint_eq(config[0], select);
	ck_assert_uint_eq(config[1], subsel);
	memcpy(data, config + 8, 128);
	for (uint32_t i = config[2]; i < 128; i++)
		ck_assert_uint_eq(data[i], 0);
	return config[2];
}

START_TEST(configuration)
{
	uint8_t data[128];

	ck_assert_uint_eq(ask(0, 0, data), 0);
	ck_assert_uint_eq(ask(1, 0, data), strlen("mortise power button"));
	ck_assert_mem_eq(data, "mortise power button", strlen("mortise power button"));
	ck_assert_uint_eq(ask(3, 0, data), 8);
	/* of key events the power key, and of others none */
	ck_assert_uint_eq(ask(0x11, 1, data), 15);
	for (uint32_t key = 0; key < 1024; key++)
		ck_assert_int_eq(data[key / 8] >> key % 8 & 1, key == 116);
	for (uint32_t type = 0; type < 256; type++)
		if (type != 1)
			ck_assert_uint_eq(ask(0x11, (uint8_t)type, data), 0);
	for (uint32_t select = 0; select < 256; select++)
		ck_assert_uint_eq(ask((uint8_t)select, 77, data), 0);
}
END_TEST

START_TEST(other_bytes_cannot_be_written)
{
	uint8_t all[BUTTON_CONFIG_BYTES], config[BUTTON_CONFIG_BYTES];

	memset(all, 0xff, sizeof(all));
	button_config_write(&chip, 2, all, sizeof(all) - 2);
	button_config_read(&chip, 0, config, sizeof(config));
	for (uint32_t i = 0; i < sizeof(config); i++)
		ck_assert_uint_eq(config[i], 0);
	button_config_write(&chip, 1, all, 1);
	ck_assert_uint_eq(chip.subsel, 0xff);
	ck_assert_uint_eq(chip.select, 0);
}
END_TEST

static void event_is(uint16_t type, uint16_t code, uint32_t value)
{
	const uint8_t wanted[8] = { (uint8_t)type, 0, (uint8_t)code, 0, (uint8_t)value, 0, 0, 0 };
	uint8_t event[8];

	ck_assert(button_next(&chip, event));
	ck_assert_mem_eq(event, wanted, 8);
}

START_TEST(a_press)
{
	uint8_t event[8];

	ck_assert(!button_next(&chip, event));
	button_press(&chip);
	event_is(1, 116, 1);
	event_is(0, 0, 0);
	button_press(&chip);              /* the same press: it is not over */
	event_is(1, 116, 0);
	event_is(0, 0, 0);
	ck_assert(!button_next(&chip, event));
	button_press(&chip);
	button_reset(&chip);
	ck_assert(!button_next(&chip, event));
}
END_TEST

START_TEST(nobody_listens)
{
	const struct mt_power_button *button = fake_role(f, MT_IFACE_POWER_BUTTON);
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_int_eq(button->press(fake_self(f), &err), MT_EAGAIN);
	ck_assert_ptr_nonnull(strstr(err.message, "no driver"));
}
END_TEST

START_TEST(state)
{
	const struct mt_virtio_device *device = fake_role(f, MT_IFACE_VIRTIO_DEVICE);
	const uint8_t selectors[2] = { 0x11, 1 };

	device->config_write(fake_self(f), 0, selectors, 2);
	fake_state_check(f, make);
}
END_TEST

int main(void)
{
	CHECK_RUN("virtio-button", start, stop, configuration, other_bytes_cannot_be_written, a_press, nobody_listens,
		  state);
}
