// A guest without a system that breaks every rule it can towards the first disk. After each attack
// the device must have asked for a reset, refused the request, or taken no notice, as that attack's
// line says, and must work again after a reset. A line for each on the serial port; exits with how
// many went wrong. Flat 64-bit code, for `kaval run --mmio --memory 64M --payload`; hostile-pci.c is
// the same over PCI.

#include "virtio-blk.h"

enum answer { RESETS, REFUSES, ANSWERS, IGNORES };

static const u64 END_OF_RAM = 64 << 20;
static const u32 PATIENCE = 3000000; // looks at registers: at least some seconds

static struct descriptor *const table = (void *) 0x206000;

static int wrong; // what an attack itself has seen that should not be

// What has become of a request: 1 if it came back, 0 if the device needs a reset or says nothing.
static int comes_back(u16 before) {
    for (u32 i = 0; i < PATIENCE; i++) {
        if (used->index != before) {
            return 1;
        }
        if (get_status() & NEEDS_RESET) {
            return 0;
        }
    }
    return 0;
}

static int needs_reset(void) {
    for (u32 i = 0; i < PATIENCE; i++) {
        if (get_status() & NEEDS_RESET) {
            return 1;
        }
    }
    return 0;
}

static void attack(u32 type, u64 sector) {
    begin(FEATURE_FLUSH | FEATURE_INDIRECT);
    prepare(type, sector);
}

static void chain(u64 address, u32 length, u16 flags, u16 next) {
    attack(READ, 0);
    descriptors[1] = (struct descriptor) {address, length, flags, next};
    submit(0);
}

static void indirect(u64 address, u32 length, u16 flags) {
    attack(READ, 0);
    table[0] = descriptors[0];
    table[1] = descriptors[1];
    table[2] = descriptors[2];
    descriptors[0] = (struct descriptor) {address, length, INDIRECT | flags, 0};
    submit(0);
}

static void loop(void) { chain((u64) block, BLOCK, NEXT | WRITABLE, 1); }
static void loop_to_head(void) { chain((u64) block, BLOCK, NEXT | WRITABLE, 0); }
static void next_behind_end(void) { chain((u64) block, BLOCK, NEXT | WRITABLE, QUEUE_SIZE); }
static void next_far_behind(void) { chain((u64) block, BLOCK, NEXT | WRITABLE, 0xffff); }
static void behind_ram(void) { chain(END_OF_RAM, BLOCK, NEXT | WRITABLE, 2); }
static void over_end_of_ram(void) { chain(END_OF_RAM - 512, BLOCK, NEXT | WRITABLE, 2); }
static void in_registers(void) { chain(registers_at(), BLOCK, NEXT | WRITABLE, 2); }
static void address_wraps(void) { chain(-512ull, BLOCK, NEXT | WRITABLE, 2); }
static void highest_address(void) { chain(1ull << 63, BLOCK, NEXT | WRITABLE, 2); }
static void huge(void) { chain((u64) block, 0xfffff000, NEXT | WRITABLE, 2); }
static void zero_length(void) { chain((u64) block, 0, NEXT | WRITABLE, 2); }
static void odd_length(void) { chain((u64) block, 513, NEXT | WRITABLE, 2); }
static void read_into_read_only(void) { chain((u64) block, BLOCK, NEXT, 2); }

static void writable_header(void) {
    attack(READ, 0);
    descriptors[0].flags |= WRITABLE;
    submit(0);
}

static void read_only_status(void) {
    attack(READ, 0);
    descriptors[2].flags = 0;
    submit(0);
}

static void write_from_writable(void) {
    attack(WRITE, 0);
    descriptors[1].flags |= WRITABLE;
    submit(0);
}

static void short_header(void) {
    attack(READ, 0);
    descriptors[0].length = 8;
    submit(0);
}

static void only_a_header(void) {
    attack(READ, 0);
    descriptors[0].flags = 0;
    submit(0);
}

static void head_behind_end(void) {
    attack(READ, 0);
    submit(QUEUE_SIZE);
}

static void index_jumps(void) {
    attack(READ, 0);
    available->index += QUEUE_SIZE + 1;
    ring(0);
}

static void index_goes_back(void) {
    attack(READ, 0);
    available->index--;
    ring(0);
}

static void indirect_whole(void) { indirect((u64) table, 3 * sizeof *table, 0); }
static void indirect_no_table(void) { indirect((u64) table, 0, 0); }
static void indirect_odd_table(void) { indirect((u64) table, 17, 0); }
static void indirect_huge_table(void) { indirect((u64) table, 0xfffffff0, 0); }
static void indirect_behind_ram(void) { indirect(END_OF_RAM - 16, 48, 0); }
static void indirect_with_next(void) { indirect((u64) table, 3 * sizeof *table, NEXT); }

static void indirect_in_indirect(void) {
    attack(READ, 0);
    table[0] = (struct descriptor) {(u64) table, 3 * sizeof *table, INDIRECT, 0};
    descriptors[0] = (struct descriptor) {(u64) table, 3 * sizeof *table, INDIRECT, 0};
    submit(0);
}

static void indirect_not_negotiated(void) {
    begin(FEATURE_FLUSH);
    prepare(READ, 0);
    descriptors[0] = (struct descriptor) {(u64) table, 3 * sizeof *table, INDIRECT, 0};
    submit(0);
}

static void sector_behind_end(void) {
    attack(READ, capacity());
    submit(0);
}

static void sector_overflows(void) {
    attack(READ, -1ull);
    submit(0);
}

static void sector_times_512_overflows(void) {
    attack(WRITE, 1ull << 55);
    submit(0);
}

static void unknown_type(void) {
    attack(0x4b61, 0);
    submit(0);
}

static void queue(u32 size, u64 descriptors_at, u64 available_at, u64 used_at) {
    negotiate(FEATURE_FLUSH);
    enable_queue(size, descriptors_at, available_at, used_at);
    drive();
}

static void size_of_three(void) { queue(3, (u64) descriptors, (u64) available, (u64) used); }
static void size_of_none(void) { queue(0, (u64) descriptors, (u64) available, (u64) used); }
static void size_too_large(void) { queue(0x8000, (u64) descriptors, (u64) available, (u64) used); }
static void odd_descriptors(void) { queue(4, 0x200008, (u64) available, (u64) used); }
static void odd_available(void) { queue(4, (u64) descriptors, 0x201001, (u64) used); }
static void odd_used(void) { queue(4, (u64) descriptors, (u64) available, 0x202002); }
static void descriptors_over_end(void) {
    queue(4, END_OF_RAM - 16, (u64) available, (u64) used);
}
static void available_over_end(void) {
    queue(4, (u64) descriptors, END_OF_RAM - 4, (u64) used);
}
static void used_wraps(void) { queue(4, (u64) descriptors, (u64) available, -8ull); }

static void no_features_agreed(void) {
    set_status(0);
    enable_usual_queue();
    set_status(ACKNOWLEDGE | DRIVER | DRIVER_OK);
}

static void enabled_again(void) {
    begin(FEATURE_FLUSH);
    disable_queue();
    enable_usual_queue();
}

static void rung_before_driver_ok(void) {
    negotiate(FEATURE_FLUSH);
    enable_usual_queue();
    prepare(READ, 0);
    submit(0);
    for (u32 i = 0; i < 1000; i++) {
        get_status();
    }
    if (used->index == 0) {
        drive();
    }
}

static void reset_in_flight(void) {
    attack(READ, 0);
    submit(0);
    set_status(0);
}

#ifdef OVER_PCI
#include "hostile-pci.h"
#else
#include "hostile-mmio.h"
#endif

static const struct {
    const char *name;
    void (*run)(void);
    enum answer answer;
} attacks[] = {
    {"loop", loop, RESETS},
    {"loop to the head", loop_to_head, RESETS},
    {"next behind the end", next_behind_end, RESETS},
    {"next far behind the end", next_far_behind, RESETS},
    {"head behind the end", head_behind_end, RESETS},
    {"behind RAM", behind_ram, RESETS},
    {"over the end of RAM", over_end_of_ram, RESETS},
    {"in the registers", in_registers, RESETS},
    {"address wraps", address_wraps, RESETS},
    {"highest address", highest_address, RESETS},
    {"huge", huge, RESETS},
    {"zero length", zero_length, ANSWERS},
    {"odd length", odd_length, REFUSES},
    {"read into what is read only", read_into_read_only, REFUSES},
    {"header to be written", writable_header, RESETS},
    {"status to be read", read_only_status, RESETS},
    {"write from what is writable", write_from_writable, REFUSES},
    {"short header", short_header, RESETS},
    {"only a header", only_a_header, RESETS},
    {"available index jumps", index_jumps, RESETS},
    {"available index goes back", index_goes_back, RESETS},
    {"indirect, as it should be", indirect_whole, ANSWERS},
    {"indirect without a table", indirect_no_table, RESETS},
    {"indirect with an odd table", indirect_odd_table, RESETS},
    {"indirect with a huge table", indirect_huge_table, RESETS},
    {"indirect behind RAM", indirect_behind_ram, RESETS},
    {"indirect with a next one", indirect_with_next, RESETS},
    {"indirect in indirect", indirect_in_indirect, RESETS},
    {"indirect without consent", indirect_not_negotiated, RESETS},
    {"sector behind the end", sector_behind_end, REFUSES},
    {"sector overflows", sector_overflows, REFUSES},
    {"sector times 512 overflows", sector_times_512_overflows, REFUSES},
    {"unknown type", unknown_type, REFUSES},
    {"queue of three", size_of_three, RESETS},
    {"queue of none", size_of_none, RESETS},
    {"queue too large", size_too_large, RESETS},
    {"descriptors not aligned", odd_descriptors, RESETS},
    {"available ring not aligned", odd_available, RESETS},
    {"used ring not aligned", odd_used, RESETS},
    {"descriptors over the end of RAM", descriptors_over_end, RESETS},
    {"available ring over the end of RAM", available_over_end, RESETS},
    {"used ring wraps", used_wraps, RESETS},
    {"no features agreed on", no_features_agreed, RESETS},
    {"queue enabled again", enabled_again, RESETS},
    {"rung before DRIVER_OK", rung_before_driver_ok, ANSWERS},
    {"reset in flight", reset_in_flight, IGNORES},
    ATTACKS_ON_REGISTERS
};

static int is_answered(enum answer answer) {
    if (wrong) {
        return 0;
    }
    switch (answer) {
    case RESETS:
        return needs_reset();
    case REFUSES:
        return comes_back(0) && *status != 0 && *status != 0xff;
    case ANSWERS:
        return comes_back(0);
    default:
        return !(get_status() & NEEDS_RESET);
    }
}

static int works_again(void) {
    set_up();
    begin(FEATURE_FLUSH);
    block[0] = 0;
    return request(READ, 8) == 0 && block[0] == 0x4b61766131ull;
}

unsigned run(void) {
    u32 failures = 0;
    set_up();
    for (u32 i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        wrong = 0;
        attacks[i].run();
        int answered = is_answered(attacks[i].answer);
        int works = works_again();
        print_text(attacks[i].name);
        print_text(answered ? "" : ": WRONG ANSWER");
        print_text(works ? "\n" : ": DOES NOT WORK AGAIN\n");
        failures += !answered || !works;
    }
    return failures;
}
