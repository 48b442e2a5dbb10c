// The first device with virtio's registers in memory (virtio 1.2, 4.2.2), where Kaval puts it.

enum { REGISTERS = 0xf0000000 };

enum {
    DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SELECT = 0x24,
    QUEUE_SELECT = 0x30,
    QUEUE_SIZE_REGISTER = 0x38,
    QUEUE_READY = 0x44,
    QUEUE_NOTIFY = 0x50,
    STATUS = 0x70,
    QUEUE_DESCRIPTORS = 0x80,
    QUEUE_AVAILABLE = 0x90,
    QUEUE_USED = 0xa0,
    CAPACITY = 0x100,
};

static volatile u32 *registers = (volatile u32 *) (u64) REGISTERS;

static inline void set(u32 offset, u32 value) { registers[offset / 4] = value; }
static inline u32 get(u32 offset) { return registers[offset / 4]; }

static inline void set_address(u32 offset, u64 address) {
    set(offset, address);
    set(offset + 4, address >> 32);
}

// Makes the device ready for its driver.
static inline void set_up(void) {}

static inline u64 registers_at(void) { return (u64) registers; }
static inline void set_status(u8 value) { set(STATUS, value); }
static inline u8 get_status(void) { return get(STATUS); }
static inline u64 capacity(void) { return get(CAPACITY); }
static inline void ring(u32 queue) { set(QUEUE_NOTIFY, queue); }

static inline void set_features(u32 select, u32 features) {
    set(DRIVER_FEATURES_SELECT, select);
    set(DRIVER_FEATURES, features);
}

static inline void enable_queue(u32 size, u64 descriptors_at, u64 available_at, u64 used_at) {
    set(QUEUE_SELECT, 0);
    set(QUEUE_SIZE_REGISTER, size);
    set_address(QUEUE_DESCRIPTORS, descriptors_at);
    set_address(QUEUE_AVAILABLE, available_at);
    set_address(QUEUE_USED, used_at);
    set(QUEUE_READY, 1);
}

static inline void disable_queue(void) { set(QUEUE_READY, 0); }
