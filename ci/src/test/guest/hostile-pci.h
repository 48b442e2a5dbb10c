// What can be done to a PCI function, its registers, and where these are.

enum { AREA = 0x1000, MESSAGES = 0xfee00000, FIXED_255 = 0xff };

static void touch(u64 from, u64 to) {
    for (u64 at = from; at < to; at++) {
        (void) *at8(at);
        (void) *at16(at);
        (void) *at32(at);
        (void) *at64(at);
        *at16(at) = 0xffff;
        *at8(at) = 0xff;
        if (at % 4) {
            *at32(at) = ~0u;
        }
        if (at % 8) {
            *at64(at) = ~0ull;
        }
    }
}

static void common_at_odd_widths(void) {
    begin(FEATURE_FLUSH);
    touch(place[COMMON], place[COMMON] + COMMON_SIZE + 8);
}

static void others_at_odd_widths(void) {
    begin(FEATURE_FLUSH);
    touch(place[ISR], place[ISR] + 8);
    touch(place[DEVICE], place[DEVICE] + 0x48);
    touch(place[NOTIFY], place[NOTIFY] + 16);
    touch(vectors, vectors + 0x40);
    touch(bar + 0x10000 - 8, bar + 0x10000 - 7);
}

static void other_queues(void) {
    negotiate(FEATURE_FLUSH);
    enable_usual_queue();
    for (u32 i = 1; i < 0x20000; i <<= 1) {
        *at16(place[COMMON] + QUEUE_SELECT) = i;
        wrong |= i < 0x10000 && *at16(place[COMMON] + QUEUE_SIZE_REGISTER) != 0;
        if (i < 0x10000) {
            *at16(place[COMMON] + QUEUE_SIZE_REGISTER) = 4;
            set_address(QUEUE_DESCRIPTORS, (u64) descriptors);
            *at16(place[COMMON] + QUEUE_ENABLE) = 1;
        }
    }
    drive();
    for (u64 at = place[NOTIFY] + 4; at < place[NOTIFY] + AREA; at += 0x1fc) {
        *at16(at) = 0;
    }
}

// A driver learns by reading that there is no such vector (virtio 1.2, 4.1.5.1.2.1).
static void other_vectors(void) {
    begin(FEATURE_FLUSH);
    for (u32 i = 2; i < 0x10000; i <<= 1) {
        *at16(place[COMMON] + QUEUE_VECTOR) = i;
        wrong |= *at16(place[COMMON] + QUEUE_VECTOR) != 0xffff;
    }
}

static void message(u64 address, u32 data) {
    *at32(vectors) = address;
    *at32(vectors + 4) = address >> 32;
    *at32(vectors + 8) = data;
    *at32(vectors + 12) = 0;
}

static void begin_with_messages(void) {
    begin(FEATURE_FLUSH);
    message(MESSAGES, FIXED_255);
    *at16(msi_x + 2) = MSI_X_ON;
    *at16(place[COMMON] + QUEUE_VECTOR) = 0;
}

// To memory, to registers, beyond all addresses: none is a write to there.
static void messages_anywhere(void) {
    static const u64 places[] = {0, 0x205000, END_OF_RAM, ECAM, -4ull, 1ull << 63};
    begin_with_messages();
    for (u32 i = 0; i < sizeof places / sizeof *places; i++) {
        message(places[i], FIXED_255);
        wrong |= request(READ, 8) != 0;
    }
}

static void message_is_masked(void) {
    begin_with_messages();
    *at32(vectors + 12) = 1;
    wrong |= request(READ, 8) != 0;
    u64 pending = bar + (*at32(msi_x + 8) & ~7u);
    for (u32 i = 0; i < PATIENCE && !(*at64(pending) & 1); i++) {}
    wrong |= !(*at64(pending) & 1);
    *at64(pending) = 0; // ignored
    wrong |= !(*at64(pending) & 1);
    *at32(vectors + 12) = 0;
    wrong |= *at64(pending) & 1;
}

enum { ELSEWHERE = 0x100000 };

static void moved_in_flight(void) {
    attack(READ, 8);
    submit(0);
    put_bar(bar + ELSEWHERE);
    wrong |= get_status() != 0xff;
    wrong |= *at8(place[COMMON] + ELSEWHERE + STATUS) == 0xff;
    put_bar(bar);
}

// The device may find the request without a ring, too, right after it was switched on.
static void rung_where_it_was(void) {
    attack(READ, 8);
    put_bar(bar + ELSEWHERE);
    submit(0);
    for (u32 i = 0; i < 1000; i++) {
        wrong |= get_status() != 0xff;
    }
    *at16(place[NOTIFY] + ELSEWHERE) = 0;
    for (u32 i = 0; i < PATIENCE && used->index == 0; i++) {
        get_status();
    }
    wrong |= used->index == 0;
    put_bar(bar);
}

static void switched_off_in_flight(void) {
    attack(READ, 8);
    submit(0);
    *at16(space + COMMAND) = 0;
    wrong |= get_status() != 0xff;
    *at16(space + COMMAND) = DECODE_MEMORY;
}

static void put_anywhere(void) {
    static const u64 places[] = {
        0, 0x200000, END_OF_RAM - 0x8000, END_OF_RAM, ECAM, 0xfec00000, MESSAGES, 0xf0000000,
        0xffff0000, 1ull << 32, 1ull << 51, 1ull << 63, -1ull,
    };
    begin(FEATURE_FLUSH);
    prepare(READ, 0);
    for (u32 i = 0; i < sizeof places / sizeof *places; i++) {
        put_bar(places[i]);
        wrong |= *at64((u64) descriptors) != (u64) header; // which are in one of these places
    }
    put_bar(bar);
}

static void space_all_over(void) {
    begin(FEATURE_FLUSH);
    for (u64 at = space; at < space + 0x1000; at += at < space + 0x100 ? 1 : 0xfd) {
        (void) *at8(at);
        (void) *at16(at);
        (void) *at32(at);
        (void) *at64(at);
        *at8(at) = 0xff;
        *at16(at) = 0xffff;
        *at32(at) = at * 0x9e3779b1;
        *at64(at) = ~0ull;
    }
    wrong |= *at32(space) != DISK;
    set_up();
}

static void functions_that_are_not_there(void) {
    begin(FEATURE_FLUSH);
    for (u64 at = ECAM + (4 << 15); at < ECAM + 0x10000000; at += 0x7ff000 + 13) {
        wrong |= *at8(at) != 0xff;
        *at32(at) = ~0u;
    }
}

static inline void out32(u16 port, u32 value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "d"(port));
}

static inline u32 in32(u16 port) {
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port));
    return value;
}

static void configuration_ports(void) {
    begin(FEATURE_FLUSH);
    for (u32 i = 0; i < 64; i++) {
        out32(0xcf8, i * 0x01234567);
        (void) in32(0xcf8 + i % 8);
        (void) in(0xcf8 + i % 8);
        out32(0xcfd, ~0u); // over the end
        out(0xcf8, 0xff);
        out(0xcfa, 0xff);
    }
    out32(0xcf8, 0);
}

// pci_cfg_data leads to nothing but the registers, whatever its window is (virtio 1.2, 4.1.4.9.1).
static void window_anywhere(void) {
    static const u32 lengths[] = {0, 1, 2, 3, 4, 5, 8, 0x10000, ~0u};
    static const u32 offsets[] = {0, 1, 0x14, 0x3000, 0xfffc, 0xffff, 0x10000, 0x7fffffff, ~0u};
    begin(FEATURE_FLUSH);
    for (u32 i = 0; i < 9 * 9; i++) {
        *at8(access + 4) = i % 10 ? 0 : i / 10; // the BAR
        *at32(access + 8) = offsets[i / 9];
        *at32(access + 12) = lengths[i % 9];
        (void) *at32(access + 16);
        (void) *at8(access + 16);
        (void) *at16(access + 17);
        *at32(access + 16) = ~0u;
    }
}

#define ATTACKS_ON_REGISTERS                                                                      \
    {"common configuration at odd widths", common_at_odd_widths, IGNORES},                        \
    {"other registers at odd widths", others_at_odd_widths, IGNORES},                             \
    {"queues that are not there", other_queues, IGNORES},                                         \
    {"vectors that are not there", other_vectors, IGNORES},                                       \
    {"messages to anywhere", messages_anywhere, ANSWERS},                                         \
    {"message that is masked", message_is_masked, IGNORES},                                       \
    {"registers moved in flight", moved_in_flight, ANSWERS},                                      \
    {"rung where it was", rung_where_it_was, ANSWERS},                                            \
    {"switched off in flight", switched_off_in_flight, ANSWERS},                                  \
    {"registers put anywhere", put_anywhere, IGNORES},                                            \
    {"configuration space written all over", space_all_over, IGNORES},                            \
    {"functions that are not there", functions_that_are_not_there, IGNORES},                      \
    {"configuration ports at odd widths", configuration_ports, IGNORES},                          \
    {"window put anywhere", window_anywhere, IGNORES},
