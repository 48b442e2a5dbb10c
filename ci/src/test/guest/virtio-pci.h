// The first virtio disk on PCI's bus 0 (virtio 1.2, 4.1), whose configuration space is in memory
// (ECAM) where Kaval has it. Its registers are where the device's capabilities say.

enum { ECAM = 0xe0000000 };

// configuration space (PCI 3.0, 6.1)
enum {
    COMMAND = 0x04,
    BAR_0 = 0x10,
    CAPABILITIES = 0x34,
    DISK = 0x10421af4,
    VENDOR_SPECIFIC = 0x09,
    MSI_X = 0x11,
    MSI_X_ON = 1 << 15,
    DECODE_MEMORY = 1 << 1,
    BUS_MASTER = 1 << 2,
};

// kinds of virtio's capabilities
enum { COMMON = 1, NOTIFY = 2, ISR = 3, DEVICE = 4, ACCESS = 5, KINDS = 6 };

// in the common configuration
enum {
    DRIVER_FEATURES_SELECT = 0x08,
    DRIVER_FEATURES = 0x0c,
    STATUS = 0x14,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE_REGISTER = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_DESCRIPTORS = 0x20,
    QUEUE_AVAILABLE = 0x28,
    QUEUE_USED = 0x30,
    COMMON_SIZE = 0x38,
};

static inline volatile u8 *at8(u64 address) { return (volatile u8 *) address; }
static inline volatile u16 *at16(u64 address) { return (volatile u16 *) address; }
static inline volatile u32 *at32(u64 address) { return (volatile u32 *) address; }
static inline volatile u64 *at64(u64 address) { return (volatile u64 *) address; }

static u64 space;        // its configuration space
static u64 bar;          // where its registers are
static u64 place[KINDS]; // where those of each kind of capability are
static u64 access;       // its capability to reach them through configuration space
static u64 msi_x;        // that for messages
static u64 vectors;      // the table of messages

static void read_capabilities(void) {
    for (u64 at = *at8(space + CAPABILITIES); at; at = *at8(space + at + 1)) {
        u8 id = *at8(space + at), kind = *at8(space + at + 3);
        if (id == VENDOR_SPECIFIC && kind < KINDS) {
            place[kind] = bar + *at32(space + at + 8);
            access = kind == ACCESS ? space + at : access;
        } else if (id == MSI_X) {
            msi_x = space + at;
            vectors = bar + (*at32(msi_x + 4) & ~7u);
        }
    }
}

static void put_bar(u64 address) {
    *at32(space + BAR_0) = address;
    *at32(space + BAR_0 + 4) = address >> 32;
}

// Makes the device ready for its driver: finds it, the first time, and puts back what a guest may
// have done to its configuration space.
static void set_up(void) {
    if (!space) {
        for (space = ECAM; *at32(space) != DISK; space += 1 << 12) {}
        bar = *at32(space + BAR_0) & ~15u;
        read_capabilities();
    }
    *at16(space + COMMAND) = 0;
    put_bar(bar);
    *at16(space + COMMAND) = DECODE_MEMORY | BUS_MASTER;
    *at16(msi_x + 2) = 0;
}

static inline u64 registers_at(void) { return bar; }
static inline void set_status(u8 value) { *at8(place[COMMON] + STATUS) = value; }
static inline u8 get_status(void) { return *at8(place[COMMON] + STATUS); }
static inline u64 capacity(void) { return *at32(place[DEVICE]); }
static inline void ring(u32 queue) { *at16(place[NOTIFY] + 4 * queue) = queue; }

static inline void set_features(u32 select, u32 features) {
    *at32(place[COMMON] + DRIVER_FEATURES_SELECT) = select;
    *at32(place[COMMON] + DRIVER_FEATURES) = features;
}

static inline void set_address(u32 offset, u64 address) {
    *at32(place[COMMON] + offset) = address;
    *at32(place[COMMON] + offset + 4) = address >> 32;
}

static inline void enable_queue(u32 size, u64 descriptors_at, u64 available_at, u64 used_at) {
    *at16(place[COMMON] + QUEUE_SELECT) = 0;
    *at16(place[COMMON] + QUEUE_SIZE_REGISTER) = size;
    set_address(QUEUE_DESCRIPTORS, descriptors_at);
    set_address(QUEUE_AVAILABLE, available_at);
    set_address(QUEUE_USED, used_at);
    *at16(place[COMMON] + QUEUE_ENABLE) = 1;
}

// There is no such thing: what a driver writes instead is ignored.
static inline void disable_queue(void) { *at16(place[COMMON] + QUEUE_ENABLE) = 0; }
