// A guest without a system that reads from a virtio disk as fast as it gets answers: 4 KiB anywhere
// with one request at a time and with 32, and 1 MiB one after the other with 8. The loop is in ring 3,
// so that it runs on the processor itself with any KVM, and polls. Before it counts it has read for a
// while.
//
// Entered as FlatPayload does it; tells the serial port `a`, `b`, `c` and `d` when the first, second
// and third begin and the last has ended, and then the median and the 99th percentile of the first
// one's, in cycles of the TSC.

#define QUEUE_SIZE 128
#include "virtio-blk.h"

enum {
    DEPTH = 32,
    LARGE = 1 << 20,
    LARGE_DEPTH = 8,
    WARM_UP_COUNT = 100000,
    SINGLE_COUNT = 100000,
    MANY_COUNT = 1000000,
    LARGE_COUNT = 10000,
    MAGIC = 0x74726976,
    MICROVM_REGISTERS = 0xfeb00000,
    MICROVM_STRIDE = 0x200,
    MICROVM_DEVICES = 24,
};

static struct header *const headers = (void *) 0x303000;
static volatile u8 *const statuses = (void *) 0x304000;
static u32 *const cycles = (void *) 0x400000;
static const u64 DATA = 0x1000000;

static u64 sectors;
static u64 seed = 88172645463325252ull;

static u64 tsc(void) {
    u32 low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (u64) high << 32 | low;
}

static u64 next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int is_disk(u64 at) {
    registers = (volatile u32 *) at;
    return registers[0] == MAGIC && registers[1] == 2 && registers[2] == 2;
}

static int find_disk(void) {
    if (is_disk(REGISTERS)) {
        return 1;
    }
    for (u32 i = 0; i < MICROVM_DEVICES; i++) {
        if (is_disk(MICROVM_REGISTERS + i * MICROVM_STRIDE)) {
            return 1;
        }
    }
    return 0;
}

static void start_disk(void) {
    begin(FEATURE_EVENT_IDX);
    sectors = capacity();
    available->used_event = -1; // one interrupt in 65536 requests, which nobody takes
}

static void prepare_chains(u32 depth, u32 bytes) {
    for (u32 i = 0; i < depth; i++) {
        headers[i].type = READ;
        descriptors[3 * i] = (struct descriptor) {(u64) &headers[i], 16, NEXT, 3 * i + 1};
        descriptors[3 * i + 1] =
            (struct descriptor) {DATA + (u64) i * bytes, bytes, NEXT | WRITABLE, 3 * i + 2};
        descriptors[3 * i + 2] = (struct descriptor) {(u64) &statuses[i], 1, WRITABLE, 0};
    }
}

static u64 place, places, began;
static u32 blocks_of_512;
static u16 added; // to the available ring, and not yet to its index
static int anywhere;
static u32 failures;

static void add(u32 slot) {
    place = (anywhere ? next_random() : place + 1) % places;
    headers[slot].sector = place * blocks_of_512;
    available->ring[(u16) (available->index + added++) % QUEUE_SIZE] = 3 * slot;
}

// Lets the device see what was added, and rings if it wants to hear of it (virtio 1.2, 2.7.10).
static void publish(void) {
    u16 before = available->index;
    u16 now = before + added;
    added = 0;
    began = tsc();
    available->index = now;
    __asm__ volatile("mfence" : : : "memory");
    if ((u16) (now - used->avail_event - 1) < (u16) (now - before)) {
        ring(0);
    }
}

// Reads `count` times with `depth` requests at a time, and measures each if there is one at a time.
static void read_blocks(u32 depth, u32 bytes, u32 count) {
    prepare_chains(depth, bytes);
    blocks_of_512 = bytes / 512;
    places = sectors / blocks_of_512;
    place = 0;
    u16 seen = used->index;
    u32 submitted = 0;
    while (submitted < depth) {
        add(submitted++);
    }
    publish();
    for (u32 completed = 0; completed < count;) {
        u16 now = used->index;
        if (now == seen) {
            __asm__ volatile("pause");
            continue;
        }
        for (; seen != now; seen++) {
            u32 slot = used->ring[seen % QUEUE_SIZE].id / 3;
            failures += statuses[slot] != 0;
            if (depth == 1) {
                cycles[completed] = tsc() - began;
            }
            completed++;
            if (submitted < count) {
                add(slot);
                submitted++;
            }
        }
        if (added) {
            publish();
        }
    }
}

static void sort(u32 *values, u32 count) {
    for (u32 gap = count / 2; gap > 0; gap /= 2) {
        for (u32 i = gap; i < count; i++) {
            u32 value = values[i];
            u32 j = i;
            for (; j >= gap && values[j - gap] > value; j -= gap) {
                values[j] = values[j - gap];
            }
            values[j] = value;
        }
    }
}

static void measure(void) {
    if (find_disk()) {
        start_disk();
        anywhere = 1;
        read_blocks(1, BLOCK, WARM_UP_COUNT); // a device that is compiled while it runs
        read_blocks(DEPTH, BLOCK, WARM_UP_COUNT);
        print('a');
        read_blocks(1, BLOCK, SINGLE_COUNT);
        print('b');
        read_blocks(DEPTH, BLOCK, MANY_COUNT);
        print('c');
        anywhere = 0;
        read_blocks(LARGE_DEPTH, LARGE, LARGE_COUNT);
        print('d');
        sort(cycles, SINGLE_COUNT);
        print_number(cycles[SINGLE_COUNT / 2]);
        print_number(cycles[SINGLE_COUNT / 100 * 99]);
        print_number(failures);
    }
    __asm__ volatile("out %0, $0xf4" : : "a"(failures));
    while (1) {}
}

unsigned run(void) {
    // to ring 3, with the I/O ports
    __asm__ volatile("push $0x23; push $0x80000; push $0x3002; push $0x2b; push %0; iretq"
                     :
                     : "r"((u64) measure));
    return 0;
}
