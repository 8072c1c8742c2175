/* SPDX-License-Identifier: MIT */
/* An NVMe controller on the fake host, driven as a driver would, over a disk in memory that completes when told. */
#include "test-nvme.h"

START_TEST(registers)
{
	ck_assert_uint_eq(fake_pci(f)->class_code, 0x010802);
	ck_assert_uint_eq(fake_pci(f)->vectors, 5);
	ck_assert_uint_eq(fake_get(f, 0, 8), 63 | 1 << 16 | 20ull << 24 | 1ull << 37);
	ck_assert_uint_eq(fake_get(f, 8, 4), 0x10400);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 0);
	enable();
	ck_assert_uint_eq(fake_get(f, 0x28, 4), (uint32_t)ASQ);
	ck_assert_uint_eq(fake_get(f, 0x30, 8), ACQ);
	fake_put(f, 0x14, 4, 0x464001);        /* normal shutdown makes all durable */
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 1 | 2 << 2);
	ck_assert_uint_eq(disk.flushes, 1);
	fake_put(f, 0x14, 4, 0x460000);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 0);
	ck_assert_uint_eq(fake_get(f, 0x28, 8), ASQ);
	enable();
	/* forms that are not there: fatal, until it is reset */
	fake_put(f, 0x14, 4, 0);
	fake_put(f, 0x14, 4, 0x460081);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 2);
	fake_put(f, 0x14, 4, 0);
	fake_put(f, 0x24, 4, 0);
	fake_put(f, 0x14, 4, 0x460001);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 2);
	fake_pci_reset(f);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 0);
	ck_assert_uint_eq(fake_get(f, 0x28, 8), 0);
}
END_TEST

/* The ids are the same on the bus, in the controller's data and in its name. */
START_TEST(ids_of_the_file)
{
	ck_assert_uint_eq(fake_pci(f)->vendor_id << 16 | fake_pci(f)->device_id, 0x1af410f0);
	fake_free(f);
	f = make();
	fake_prop(f, "vendor-id", "0x1234");
	fake_prop(f, "device-id", "0xabcd");
	fake_start(f);
	fake_pci_master(f, 1);
	ck_assert_uint_eq(fake_pci(f)->vendor_id << 16 | fake_pci(f)->device_id, 0x1234abcd);
	enable();
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .prp1 = DATA, .cdw10 = 1), 0);
	ck_assert_int_eq(memcmp(fake_ram_at(f, DATA), "\x34\x12\x34\x12", 4), 0);
	ck_assert_int_eq(memcmp(fake_ram_at(f, DATA + 768), "nqn.2014.08.org.nvmexpress:12341234S123  ", 41), 0);
}
END_TEST

START_TEST(identification)
{
	uint8_t *page = fake_ram_at(f, DATA);

	enable();
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .prp1 = DATA, .cdw10 = 1), 0);
	ck_assert_int_eq(memcmp(page + 4, "S123                ", 20), 0);
	ck_assert_uint_eq(page[516], 1);
	ck_assert_uint_eq(page[77], 7);
	ck_assert_int_eq(memcmp(page + 768, "nqn.2014.08.org.nvmexpress:1af41af4S123  ", 41), 0);
	/* a page that begins inside of one goes on in the second */
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .nsid = 1, .prp1 = DATA + 0x2800, .prp2 = DATA + 0x8000), 0);
	page = fake_ram_at(f, DATA + 0x2800);
	ck_assert_uint_eq(page[0] | page[1] << 8, BLOCKS);
	ck_assert_uint_eq(page[130], 9);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .nsid = 0, .prp1 = DATA, .cdw10 = 2), 0);
	ck_assert_uint_eq(fake_ram_at(f, DATA)[0], 1);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .nsid = 1, .prp1 = DATA, .cdw10 = 3), 0);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .nsid = 2, .prp1 = DATA, .cdw10 = 0), NVME_INVALID_NSID);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .prp1 = DATA, .cdw10 = 0x77), NVME_INVALID_FIELD);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .prp1 = DATA + 2, .cdw10 = 1), NVME_PRP_OFFSET);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .prp1 = DATA + 4, .prp2 = DATA + 8, .cdw10 = 1), NVME_PRP_OFFSET);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .prp1 = 0x1000, .cdw10 = 1), NVME_DATA_ERROR);
	ck_assert_uint_eq(COMMAND(0, .opcode = 0x7f), NVME_INVALID_OPCODE);
	ck_assert_uint_eq(COMMAND(0, .opcode = 6, .flags = 0x40, .prp1 = DATA, .cdw10 = 1), NVME_INVALID_FIELD);
}
END_TEST

START_TEST(features_and_logs)
{
	uint32_t result;

	enable();
	ck_assert_uint_eq(command(0, (struct nvme_command){ .opcode = 9, .cdw10 = 7, .cdw11 = 99 << 16 | 99 }, &result), 0);
	ck_assert_uint_eq(result, 3 << 16 | 3);
	ck_assert_uint_eq(command(0, (struct nvme_command){ .opcode = 9, .cdw10 = 7, .cdw11 = 1 << 16 }, &result), 0);
	ck_assert_uint_eq(result, 1 << 16 | 1);
	ck_assert_uint_eq(command(0, (struct nvme_command){ .opcode = 10, .cdw10 = 7 }, &result), 0);
	ck_assert_uint_eq(result, 1 << 16 | 1);
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 7, .cdw11 = 0xffff), NVME_INVALID_FIELD);
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 1u << 31 | 6), NVME_NOT_SAVEABLE);
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 0x77), NVME_INVALID_FIELD);
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 6, .cdw11 = 0), 0);
	ck_assert_uint_eq(command(0, (struct nvme_command){ .opcode = 10, .cdw10 = 6 }, &result), 0);
	ck_assert_uint_eq(result, 0);
	ck_assert_uint_eq(command(0, (struct nvme_command){ .opcode = 10, .cdw10 = 0x106 }, &result), 0);
	ck_assert_uint_eq(result, 1);
	ck_assert_uint_eq(COMMAND(0, .opcode = 2, .prp1 = DATA, .cdw10 = 127 << 16 | 2), 0);
	ck_assert_uint_eq(fake_ram_at(f, DATA)[1] | fake_ram_at(f, DATA)[2] << 8, 300);
	ck_assert_uint_eq(COMMAND(0, .opcode = 2, .prp1 = DATA, .cdw10 = 0x55), NVME_LOG_PAGE);
	ck_assert_uint_eq(COMMAND(0, .opcode = 2, .prp1 = DATA, .cdw10 = 2, .cdw12 = 512), NVME_INVALID_FIELD);
	/* more than there is: what there is */
	memset(fake_ram_at(f, DATA), 0xee, 1024);
	ck_assert_uint_eq(COMMAND(0, .opcode = 2, .prp1 = DATA, .cdw10 = 0xffffu << 16 | 3, .cdw11 = 0xffff), 0);
	ck_assert_uint_eq(fake_ram_at(f, DATA)[512], 0xee);
	ck_assert_uint_eq(command(0, (struct nvme_command){ .opcode = 8 }, &result), 0);
	ck_assert_uint_eq(result, 1);
}
END_TEST

START_TEST(queues)
{
	enable();
	ck_assert_uint_eq(COMMAND(0, .opcode = 1, .prp1 = SQ(1), .cdw10 = 7 << 16 | 1,
				  .cdw11 = 1 << 16 | 1), NVME_CQ_INVALID);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1), .cdw10 = 7 << 16 | 5, .cdw11 = 1), NVME_QID);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1), .cdw10 = 7 << 16, .cdw11 = 1), NVME_QID);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1), .cdw10 = 1, .cdw11 = 1), NVME_QUEUE_SIZE);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1), .cdw10 = 64 << 16 | 1, .cdw11 = 1), NVME_QUEUE_SIZE);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1), .cdw10 = 7 << 16 | 1,
				  .cdw11 = 0), NVME_INVALID_FIELD);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1) + 8, .cdw10 = 7 << 16 | 1,
				  .cdw11 = 1), NVME_PRP_OFFSET);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1), .cdw10 = 7 << 16 | 1,
				  .cdw11 = 5 << 16 | 1), NVME_VECTOR);
	make_queues(1);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(1), .cdw10 = 7 << 16 | 1, .cdw11 = 1), NVME_QID);
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 7, .cdw11 = 0), NVME_SEQUENCE);
	ck_assert_uint_eq(COMMAND(0, .opcode = 4, .cdw10 = 1), NVME_QUEUE_DELETION);
	ck_assert_uint_eq(COMMAND(0, .opcode = 4, .cdw10 = 0), NVME_QID);
	ck_assert_uint_eq(COMMAND(0, .opcode = 0, .cdw10 = 2), NVME_QID);
	/* what was begun is answered before its queue goes */
	disk.later = 1;
	post(1, (struct nvme_command){ .opcode = 2, .nsid = 1, .prp1 = DATA, .cid = 77 });
	ring(1);
	ck_assert_uint_eq(COMMAND(0, .opcode = 0, .cdw10 = 1), 0);
	ck_assert_uint_eq(fake_ram_mapped(f), 0);
	ck_assert_uint_eq(*(uint16_t *)(void *)fake_ram_at(f, CQ(1) + 12), 77);
	ck_assert_uint_eq(COMMAND(0, .opcode = 4, .cdw10 = 1), 0);
	disk.later = 0;
	make_queues(1);
}
END_TEST

START_TEST(transfers)
{
	uint64_t *list = (uint64_t *)(void *)fake_ram_at(f, DATA + 0x40000);
	uint8_t *data = fake_ram_at(f, DATA);

	enable();
	make_queues(1);
	for (uint32_t i = 0; i < 0x10000; i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	/* one block; from the middle of a page into the next */
	ck_assert_uint_eq(COMMAND(1, .opcode = 1, .nsid = 1, .prp1 = DATA, .cdw10 = 3), 0);
	ck_assert_int_eq(memcmp(disk.bytes + 3 * BLOCK, data, BLOCK), 0);
	ck_assert_uint_eq(COMMAND(1, .opcode = 1, .nsid = 1, .prp1 = DATA + 0xe00,
				  .prp2 = DATA + 0x5000, .cdw10 = 8, .cdw12 = 1), 0);
	ck_assert_int_eq(memcmp(disk.bytes + 8 * BLOCK, data + 0xe00, BLOCK), 0);
	ck_assert_int_eq(memcmp(disk.bytes + 9 * BLOCK, data + 0x5000, BLOCK), 0);
	/* a list, pages backwards, and a chain: the list begins at the last but one entry of its page */
	for (uint32_t i = 0; i < 7; i++)
		list[i < 1 ? 510 + i : 512 + i - 1] = DATA + 0x1000 * (8 - i);
	list[511] = DATA + 0x41000;
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA + 0xc00, .prp2 = DATA + 0x40000 + 510 * 8,
				  .cdw10 = 0, .cdw12 = 57), 0);
	ck_assert_int_eq(memcmp(data + 0xc00 + 512 * 1, disk.bytes + 512, 512), 0);
	ck_assert_int_eq(memcmp(data + 0x8000, disk.bytes + 1024, 4096), 0);
	ck_assert_int_eq(memcmp(data + 0x2000, disk.bytes + 1024 + 6 * 4096, 58 * 512 - 1024 - 6 * 4096), 0);
	ck_assert_uint_ne(fake_ram_dirty(f, DATA + 0x8000), 0);
	/* durable when it is answered: by its bit, or with the cache off */
	ck_assert_uint_eq(COMMAND(1, .opcode = 1, .nsid = 1, .prp1 = DATA, .cdw12 = 1u << 30), 0);
	ck_assert_uint_eq(disk.fuas, 1);
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 6, .cdw11 = 0), 0);
	ck_assert_uint_eq(COMMAND(1, .opcode = 1, .nsid = 1, .prp1 = DATA), 0);
	ck_assert_uint_eq(disk.fuas, 2);
	ck_assert_uint_eq(COMMAND(1, .opcode = 0, .nsid = 0xffffffff), 0);
	ck_assert_uint_eq(disk.flushes, 1);
	ck_assert_uint_eq(fake_ram_mapped(f), 0);
}
END_TEST

START_TEST(zeroes_and_ranges)
{
	struct { uint32_t attributes, blocks; uint64_t block; } *ranges = (void *)fake_ram_at(f, DATA);

	enable();
	make_queues(1);
	memset(disk.bytes, 0xff, sizeof(disk.bytes));
	ck_assert_uint_eq(COMMAND(1, .opcode = 8, .nsid = 1, .cdw10 = 10, .cdw12 = 9), 0);
	ck_assert_uint_eq(disk.bytes[10 * BLOCK - 1], 0xff);
	ck_assert_uint_eq(disk.bytes[10 * BLOCK], 0);
	ck_assert_uint_eq(disk.bytes[20 * BLOCK - 1], 0);
	ck_assert_uint_eq(disk.bytes[20 * BLOCK], 0xff);
	memset(ranges, 0, 256 * 16);
	for (uint32_t i = 0; i < 256; i++) {
		ranges[i].blocks = i % 3 ? 1 : 0;
		ranges[i].block = 100 + 2 * i;
	}
	disk.later = 1;                        /* one after the other */
	post(1, (struct nvme_command){ .opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 255, .cdw11 = 4 });
	ring(1);
	ck_assert_uint_eq(disk.pending_count, 1);
	disk.later = 0;
	disk_ready();
	ck_assert_uint_eq(disk.discards, 170);
	ck_assert_uint_eq(disk.bytes[102 * BLOCK], 0);
	ck_assert_uint_eq(disk.bytes[103 * BLOCK], 0xff);
	ck_assert_uint_eq(take(1, &(struct nvme_completion){ 0 }), 1);
	take_done(1);
	ck_assert_uint_eq(COMMAND(1, .opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 3), 0);      /* a hint */
	ranges[1].block = BLOCKS;
	ck_assert_uint_eq(COMMAND(1, .opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 3, .cdw11 = 4), NVME_LBA_RANGE);
	ck_assert_uint_eq(disk.discards, 170);
}
END_TEST

START_TEST(refusals)
{
	uint64_t *list = (uint64_t *)(void *)fake_ram_at(f, DATA + 0x40000);

	enable();
	make_queues(1);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA, .cdw10 = BLOCKS), NVME_LBA_RANGE);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA, .cdw10 = 0xffffffff,
				  .cdw11 = 0xffffffff), NVME_LBA_RANGE);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA, .cdw12 = 1024), NVME_INVALID_FIELD);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 2, .prp1 = DATA), NVME_INVALID_NSID);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = 0x1000), NVME_DATA_ERROR);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = RAM + 0x100000 - 0x200,
				  .prp2 = RAM + 0x100000, .cdw12 = 1),
			  NVME_DATA_ERROR);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA + 1), NVME_PRP_OFFSET);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .flags = 1, .prp1 = DATA), NVME_INVALID_FIELD);
	ck_assert_uint_eq(COMMAND(1, .opcode = 0x55, .nsid = 1), NVME_INVALID_OPCODE);
	/* a list that leads to its own last entry */
	list[511] = DATA + 0x40000 + 511 * 8;
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA,
				  .prp2 = DATA + 0x40000 + 511 * 8, .cdw12 = 63),
			  NVME_PRP_OFFSET);
	list[0] = DATA + 0x1000;
	list[1] = DATA + 0x1004;
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA, .prp2 = DATA + 0x40000,
				  .cdw12 = 31), NVME_PRP_OFFSET);
	disk.fail = 1;
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA), NVME_READ_FAULT);
	ck_assert_uint_eq(COMMAND(1, .opcode = 1, .nsid = 1, .prp1 = DATA), NVME_WRITE_FAULT);
	disk.fail = 0;
	disk.flags |= MT_BLOCK_INFO_READONLY;
	disk.front->changed(disk.self);
	ck_assert_uint_eq(COMMAND(1, .opcode = 1, .nsid = 1, .prp1 = DATA), NVME_PROTECTED);
	ck_assert_uint_eq(COMMAND(1, .opcode = 8, .nsid = 1), NVME_PROTECTED);
	ck_assert_uint_eq(COMMAND(1, .opcode = 2, .nsid = 1, .prp1 = DATA), 0);
	ck_assert_uint_eq(fake_ram_mapped(f), 0);
}
END_TEST

/* A driver that does not take completions is not served beyond its queue. */
START_TEST(full_completion_queue)
{
	struct nvme_completion done;

	enable();
	make_queues(1);
	for (uint32_t i = 0; i < 7; i++)
		post(1, (struct nvme_command){ .opcode = 2, .nsid = 1, .prp1 = DATA, .cid = (uint16_t)i });
	ring(1);
	for (uint32_t i = 0; i < 7; i++) {
		ck_assert_uint_eq(take(1, &done), 1);
		ck_assert_uint_eq(done.cid, i);
	}
	for (uint32_t i = 7; i < 12; i++)
		post(1, (struct nvme_command){ .opcode = 2, .nsid = 1, .prp1 = DATA, .cid = (uint16_t)i });
	ring(1);
	ck_assert_uint_eq(take(1, &done), 0);          /* no place: nothing taken */
	fake_put(f, 0x1004 + 8, 4, 2);                 /* two places */
	ck_assert_uint_eq(take(1, &done), 1);
	ck_assert_uint_eq(take(1, &done), 1);
	ck_assert_uint_eq(done.cid, 8);
	ck_assert_uint_eq(take(1, &done), 0);
	take_done(1);
	for (uint32_t i = 9; i < 12; i++) {
		ck_assert_uint_eq(take(1, &done), 1);
		ck_assert_uint_eq(done.cid, i);
	}
}
END_TEST

START_TEST(interrupts)
{
	struct nvme_completion done;

	enable();
	make_queues(2);
	/* the pin, as long as there is something to take */
	post(2, (struct nvme_command){ .opcode = 0, .nsid = 1 });
	ring(2);
	ck_assert_uint_eq(fake_pci_intx(f), 1);
	fake_put(f, 0x0c, 4, 4);
	ck_assert_uint_eq(fake_pci_intx(f), 0);
	ck_assert_uint_eq(fake_get(f, 0x10, 4), 4);
	fake_put(f, 0x10, 4, 4);
	ck_assert_uint_eq(fake_pci_intx(f), 1);
	take(2, &done);
	take_done(2);
	ck_assert_uint_eq(fake_pci_intx(f), 0);
	/* messages: one for a batch, of the queue's vector */
	fake_pci_msix(f, 1);
	disk.later = 1;
	for (uint32_t i = 0; i < 4; i++)
		post(2, (struct nvme_command){ .opcode = 0, .nsid = 1 });
	ring(2);
	ck_assert_uint_eq(fake_pci_messages(f, 2), 0);
	disk_ready();
	ck_assert_uint_eq(fake_pci_messages(f, 2), 1);
	ck_assert_uint_eq(fake_pci_messages(f, 1), 0);
	ck_assert_uint_eq(take(2, &done), 1);
}
END_TEST

START_TEST(events)
{
	struct nvme_completion done;

	enable();
	for (uint32_t i = 0; i < 4; i++)
		post(0, (struct nvme_command){ .opcode = 12, .cid = (uint16_t)(100 + i) });
	ring(0);
	ck_assert_uint_eq(take(0, &done), 0);
	ck_assert_uint_eq(COMMAND(0, .opcode = 12), NVME_EVENT_LIMIT);
	fake_put(f, 0x1000 + 8 * 3, 4, 1);             /* a doorbell of no queue */
	ck_assert_uint_eq(take(0, &done), 1);
	ck_assert_uint_eq(done.result, 0x00010000);
	fake_put(f, 0x1000, 4, ENTRIES);               /* beyond the queue: not again before the log was read */
	ck_assert_uint_eq(take(0, &done), 0);
	take_done(0);
	post(0, (struct nvme_command){ .opcode = 2, .prp1 = DATA, .cdw10 = 15 << 16 | 1, .cid = 50 });
	ring(0);
	ck_assert_uint_eq(take(0, &done), 1);
	ck_assert_uint_eq(done.cid, 50);
	ck_assert_uint_eq(take(0, &done), 1);
	ck_assert_uint_eq(done.result, 0x00010100);
	take_done(0);
	fake_put(f, 0x1004, 4, (queue[0].head + 1) % ENTRIES); /* a head beyond the tail */
	/* the namespace has changed, and the driver wants to know */
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 11, .cdw11 = 1 << 8), 0);
	disk.front->changed(disk.self);                        /* nothing of it is another */
	ck_assert_uint_eq(take(0, &done), 0);
	disk.flags |= MT_BLOCK_INFO_READONLY;
	disk.front->changed(disk.self);
	ck_assert_uint_eq(take(0, &done), 1);
	ck_assert_uint_eq(done.result, 0x00040002);
	take_done(0);
	ck_assert_uint_eq(COMMAND(0, .opcode = 2, .prp1 = DATA, .cdw10 = 1023 << 16 | 4), 0);
	ck_assert_uint_eq(fake_ram_at(f, DATA)[0], 1);
}
END_TEST

/* Queues in no memory, bus mastering off, a reset in the middle. */
START_TEST(lost_memory)
{
	enable();
	make_queues(1);
	disk.later = 1;
	post(1, (struct nvme_command){ .opcode = 2, .nsid = 1, .prp1 = DATA });
	ring(1);
	fake_pci_master(f, 0);
	disk_ready();                                  /* its answer goes nowhere */
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 3);
	fake_put(f, 0x14, 4, 0);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 0);
	fake_pci_master(f, 1);
	disk.later = 0;
	enable();
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = 0x1000, .cdw10 = 7 << 16 | 1, .cdw11 = 1), 0);
	ck_assert_uint_eq(COMMAND(0, .opcode = 1, .prp1 = 0x2000, .cdw10 = 7 << 16 | 1, .cdw11 = 1 << 16 | 1), 0);
	fake_put(f, 0x1008, 4, 1);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 3);
	fake_pci_reset(f);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 0);
	ck_assert_uint_eq(fake_ram_mapped(f), 0);
}
END_TEST

START_TEST(saved)
{
	enable();
	make_queues(1);
	make_queues(3);
	for (uint32_t i = 0; i < 3; i++)
		post(1, (struct nvme_command){ .opcode = 2, .nsid = 1, .prp1 = DATA, .cid = (uint16_t)i });
	ring(1);
	ck_assert_uint_eq(COMMAND(0, .opcode = 9, .cdw10 = 11, .cdw11 = 1 << 8), 0);
	post(0, (struct nvme_command){ .opcode = 12, .cid = 9 });
	ring(0);
	disk.flags |= MT_BLOCK_INFO_READONLY;
	disk.front->changed(disk.self);
	fake_put(f, 0x0c, 4, 2);
	fake_state_check(f, make);
}
END_TEST

/* Random commands in queues that exist, and random registers. */
START_TEST(hostile)
{
	uint64_t s = 11;
	uint32_t count = getenv("MORTISE_LONG") ? 400000 : 20000;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t q = (uint32_t)(fake_random(&s) % 5);
		struct nvme_command c = { .opcode = (uint8_t)(fake_random(&s) % 13), .nsid = fake_random(&s) % 8 != 0,
					  .cid = (uint16_t)i, .prp1 = RAM + fake_random(&s) % 0x110000,
					  .prp2 = RAM + fake_random(&s) % 0x110000,
					  .cdw10 = (uint32_t)fake_random(&s) & (fake_random(&s) & 1 ? 0x70007 : 0xfff),
					  .cdw11 = (uint32_t)fake_random(&s) & 0x70007, .cdw12 = (uint32_t)fake_random(&s) & 0xff };

		c.prp1 &= fake_random(&s) % 4 ? ~0xfffull : ~0ull;
		c.prp2 &= fake_random(&s) % 4 ? ~0xfffull : ~0ull;
		if (fake_get(f, 0x1c, 4) != 1) {
			fake_put(f, 0x14, 4, 0);
			fake_pci_master(f, 1);
			enable();
			make_queues(1);
			make_queues(2);
		}
		disk.later = fake_random(&s) & 1;
		post(q, c);
		fake_put(f, 0x1000 + 8 * q, 4, fake_random(&s) % 16 ? queue[q].tail : fake_random(&s) % 12);
		fake_put(f, 0x1004 + 8 * q, 4, fake_random(&s) % ENTRIES);
		if (fake_random(&s) % 4 == 0)
			disk_ready();
		if (fake_random(&s) % 64 == 0)
			fake_put(f, fake_random(&s) % 0x10 * 4, 4, fake_random(&s));
		if (fake_random(&s) % 1024 == 0)
			fake_pci_reset(f);
		fake_pump(f);
	}
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 99, getenv("MORTISE_LONG") ? 1000000 : 50000);
}
END_TEST

int main(void)
{
	CHECK_RUN("nvme", setup, teardown, registers, ids_of_the_file, identification, features_and_logs, queues, transfers,
		  zeroes_and_ranges, refusals, full_completion_queue, interrupts, events, lost_memory, saved, hostile,
		  fuzz);
}
