// What can be done to registers in memory.

static void size_of_64_ki(void) { queue(0x10004, (u64) descriptors, (u64) available, (u64) used); }

static void odd_widths(void) {
    begin(FEATURE_FLUSH);
    for (u64 at = REGISTERS; at < REGISTERS + 0x120; at++) {
        if (at % 8) {
            (void) *(volatile u64 *) at;
        }
        (void) *(volatile u8 *) at;
        (void) *(volatile u16 *) at;
        *(volatile u8 *) at = 0xff;
        *(volatile u16 *) at = 0xffff;
    }
}

static void other_queues_rung(void) {
    begin(FEATURE_FLUSH);
    for (u32 i = 1; i; i <<= 1) {
        ring(i);
    }
}

#define ATTACKS_ON_REGISTERS                                                                      \
    {"queue of more than 64 Ki", size_of_64_ki, RESETS},                                          \
    {"odd widths", odd_widths, IGNORES},                                                          \
    {"queues that are not there", other_queues_rung, IGNORES},
