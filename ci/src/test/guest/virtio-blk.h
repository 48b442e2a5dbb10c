// What guests without a system need: the entry of flat 64-bit code, the serial port, and a driver for
// a virtio disk, with one request at a time unless the guest does that part itself. Its queue has
// QUEUE_SIZE descriptors. The disk is the first one with registers in memory (`kaval run --mmio
// --payload`), or with OVER_PCI the first on the PCI bus.

#ifndef QUEUE_SIZE
#define QUEUE_SIZE 4
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

__asm__(".globl start\n"
        "start: call run\n"
        "out %eax, $0xf4\n"
        "hlt\n");

enum { BLOCK = 4096 };

// the last one is in the upper half
enum {
    FEATURE_FLUSH = 1 << 9,
    FEATURE_INDIRECT = 1 << 28,
    FEATURE_EVENT_IDX = 1 << 29,
    FEATURE_VERSION_1 = 1,
};
enum { NEXT = 1, WRITABLE = 2, INDIRECT = 4 };
enum { READ = 0, WRITE = 1, FLUSH = 4 };
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 0x40 };

struct descriptor {
    u64 address;
    u32 length;
    u16 flags, next;
};

struct available {
    u16 flags, index, ring[QUEUE_SIZE], used_event;
};

struct used {
    u16 flags, index;
    struct {
        u32 id, length;
    } ring[QUEUE_SIZE];
    u16 avail_event;
};

struct header {
    u32 type, reserved;
    u64 sector;
};

// between the code and the end of the first 4 MiB
static struct descriptor *const descriptors = (void *) 0x200000;
static volatile struct available *const available = (void *) 0x201000;
static volatile struct used *const used = (void *) 0x202000;
static struct header *const header = (void *) 0x203000;
static volatile u8 *const status = (void *) 0x204000;
static u64 *const block = (void *) 0x205000;

static inline void out(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "d"(port)); }

static inline u8 in(u16 port) {
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
    return value;
}

static inline void print(char c) {
    while (!(in(0x3fd) & 0x20)) {}
    out(0x3f8, c);
}

static inline void print_text(const char *text) {
    while (*text) {
        print(*text++);
    }
}

static inline void print_number(u32 value) {
    for (int digit = 28; digit >= 0; digit -= 4) {
        print("0123456789abcdef"[value >> digit & 15]);
    }
    print('\n');
}

#ifdef OVER_PCI
#include "virtio-pci.h"
#else
#include "virtio-mmio.h"
#endif

// From a reset to features that are agreed on.
static inline void negotiate(u32 features) {
    set_status(0);
    available->index = used->index = 0; // the device counts from 0 again
    set_status(ACKNOWLEDGE | DRIVER);
    set_features(0, features);
    set_features(1, FEATURE_VERSION_1);
    set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
}

static inline void enable_usual_queue(void) {
    enable_queue(QUEUE_SIZE, (u64) descriptors, (u64) available, (u64) used);
}

static inline void drive(void) { set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK); }

static inline void begin(u32 features) {
    negotiate(features);
    enable_usual_queue();
    drive();
}

// A request of three descriptors, not yet made known to the device.
static inline void prepare(u32 type, u64 sector) {
    header->type = type;
    header->reserved = 0;
    header->sector = sector;
    *status = 0xff;
    u16 in = type == READ ? WRITABLE : 0;
    u16 data = type == FLUSH ? 2 : 1;
    descriptors[0] = (struct descriptor) {(u64) header, sizeof *header, NEXT, data};
    descriptors[1] = (struct descriptor) {(u64) block, BLOCK, NEXT | in, 2};
    descriptors[2] = (struct descriptor) {(u64) status, 1, WRITABLE, 0};
}

// Makes the chain that begins with a descriptor known.
static inline void submit(u16 head) {
    available->ring[available->index % QUEUE_SIZE] = head;
    __asm__ volatile("" : : : "memory");
    available->index++;
    ring(0);
}

// Makes a request and waits for its end; returns its status, which is 0 if all is well.
static inline u8 request(u32 type, u64 sector) {
    prepare(type, sector);
    u16 before = used->index;
    submit(0);
    while (used->index == before) {}
    return *status;
}
