// A guest without a system that sends frames through a virtio network device as fast as they are taken,
// and takes those that come: of 64 and of 1514 bytes, and 64 KiB of TCP that others are to cut up. The
// loops are in ring 3, so that they run on the processor itself with any KVM, and poll. Before one counts
// it has run for a while.
//
// Entered as FlatPayload does it. For each of the three sizes it tells the serial port `s` and `t` where
// what it sends is counted, and then, for each again, `r` when it is ready to receive, and `s` and `t`.

#define QUEUE_SIZE 256
#include "virtio-blk.h"

enum {
    MAGIC = 0x74726976,
    MICROVM_REGISTERS = 0xfeb00000,
    MICROVM_STRIDE = 0x200,
    MICROVM_DEVICES = 24,
    NET = 1,

    FEATURE_CSUM = 1 << 0,
    FEATURE_GUEST_CSUM = 1 << 1,
    FEATURE_GUEST_TSO4 = 1 << 7,
    FEATURE_HOST_TSO4 = 1 << 11,
    FEATURE_MRG_RXBUF = 1 << 15,

    HEADER = 12,
    NEEDS_CSUM = 1,
    GSO_TCPV4 = 1,
    ETHERNET = 14,
    IP = 20,
    TCP = 20,
    SEGMENT = 1448,
    ROOM = 4096,
    SIZES = 3,
};

struct queue {
    struct descriptor descriptors[QUEUE_SIZE];
    struct available available;
    struct used used;
    u16 seen;
};

static volatile struct queue *const receiving = (void *) 0x300000;
static volatile struct queue *const sending = (void *) 0x310000;
static u8 *const frame = (void *) 0x320000;
static const u64 BUFFERS = 0x1000000;

static const u32 lengths[SIZES] = {64, 1514, ETHERNET + IP + TCP + 45 * SEGMENT};
static const u32 warm_ups[SIZES] = {1500000, 200000, 30000}; // the first is the longest: a JVM compiles
static const u32 counts[SIZES] = {1000000, 1000000, 100000};
static const u32 received_counts[SIZES] = {500000, 500000, 50000};

static int is_net(u64 at) {
    registers = (volatile u32 *) at;
    return registers[0] == MAGIC && registers[1] == 2 && registers[2] == NET;
}

static int find_net(void) {
    if (is_net(REGISTERS)) {
        return 1;
    }
    for (u32 i = 0; i < MICROVM_DEVICES; i++) {
        if (is_net(MICROVM_REGISTERS + i * MICROVM_STRIDE)) {
            return 1;
        }
    }
    return 0;
}

static void enable(volatile struct queue *queue, u32 index) {
    set(QUEUE_SELECT, index);
    set(QUEUE_SIZE_REGISTER, QUEUE_SIZE);
    set_address(QUEUE_DESCRIPTORS, (u64) queue->descriptors);
    set_address(QUEUE_AVAILABLE, (u64) &queue->available);
    set_address(QUEUE_USED, (u64) &queue->used);
    set(QUEUE_READY, 1);
    queue->available.used_event = -1; // one interrupt in 65536, which nobody takes
}

// Lets the device see `count` more buffers, and rings if it wants to hear of them (virtio 1.2, 2.7.10).
static void publish(volatile struct queue *queue, u32 index, u16 count) {
    u16 before = queue->available.index;
    u16 now = before + count;
    __asm__ volatile("" : : : "memory");
    queue->available.index = now;
    __asm__ volatile("mfence" : : : "memory");
    if ((u16) (now - queue->used.avail_event - 1) < count) {
        set(QUEUE_NOTIFY, index);
    }
}

static void put16(u8 *at, u16 value) {
    at[0] = value >> 8;
    at[1] = value;
}

static void make_frame(u32 length) {
    for (u32 i = 0; i < HEADER + length; i++) {
        frame[i] = 0;
    }
    u8 *ethernet = frame + HEADER;
    for (u32 i = 0; i < 6; i++) { // from one local address to another, which nobody has
        ethernet[i] = ethernet[i + 6] = i == 0 ? 2 : 0;
    }
    ethernet[5] = 0x99;
    put16(ethernet + 12, 0x0800);
    u8 *ip = ethernet + ETHERNET;
    ip[0] = 0x45;
    put16(ip + 2, length - ETHERNET);
    ip[8] = 64;
    ip[9] = 6;
    u32 sum = 0x4500 + (length - ETHERNET) + 0x4006;
    sum = (sum >> 16) + (sum & 0xffff);
    put16(ip + 10, ~sum);
    u8 *tcp = ip + IP;
    tcp[12] = TCP / 4 << 4;
    tcp[13] = 0x10;
    if (length > 1514) {
        frame[0] = NEEDS_CSUM;
        frame[1] = GSO_TCPV4;
        *(u16 *) (frame + 2) = ETHERNET + IP + TCP;
        *(u16 *) (frame + 4) = SEGMENT;
        *(u16 *) (frame + 6) = ETHERNET + IP;
        *(u16 *) (frame + 8) = 16;
    }
}

// Keeps the queue full until `count` have gone.
static void send(u32 count) {
    volatile struct queue *queue = sending;
    for (u32 done = 0; done < count;) {
        u16 now = queue->used.index;
        if (now == queue->seen) {
            __asm__ volatile("pause");
            continue;
        }
        u16 more = now - queue->seen;
        for (u16 i = 0; i < more; i++) {
            u16 head = queue->used.ring[(u16) (queue->seen + i) % QUEUE_SIZE].id;
            queue->available.ring[(u16) (queue->available.index + i) % QUEUE_SIZE] = head;
        }
        queue->seen = now;
        done += more;
        publish(queue, 1, more);
    }
}

static void fill(volatile struct queue *queue, u32 index) {
    for (u32 i = 0; i < QUEUE_SIZE; i++) {
        queue->available.ring[(u16) (queue->available.index + i) % QUEUE_SIZE] = i;
    }
    publish(queue, index, QUEUE_SIZE);
}

// Waits until everything that was sent has gone.
static void drain(void) {
    while (sending->used.index != sending->available.index) {
        __asm__ volatile("pause");
    }
    sending->seen = sending->used.index;
}

static void send_all(u32 size) {
    make_frame(lengths[size]);
    for (u32 i = 0; i < QUEUE_SIZE; i++) {
        sending->descriptors[i].address = (u64) frame;
        sending->descriptors[i].length = HEADER + lengths[size];
        sending->descriptors[i].flags = 0;
    }
    fill(sending, 1);
    send(warm_ups[size]);
    print('s');
    send(counts[size]);
    print('t');
    drain();
}

static u32 left; // buffers of the frame that is being looked at

// Takes frames until there were `count` of at least `length` bytes.
static void receive(u32 count, u32 length) {
    volatile struct queue *queue = receiving;
    static u32 bytes;
    for (u32 done = 0; done < count;) {
        u16 now = queue->used.index;
        if (now == queue->seen) {
            __asm__ volatile("pause");
            continue;
        }
        u16 more = now - queue->seen;
        for (u16 i = 0; i < more; i++) {
            u16 entry = (u16) (queue->seen + i) % QUEUE_SIZE;
            u16 head = queue->used.ring[entry].id;
            if (left == 0) {
                left = *(volatile u16 *) (BUFFERS + head * ROOM + 10);
                bytes = 0;
            }
            bytes += queue->used.ring[entry].length;
            if (--left == 0) {
                done += bytes >= HEADER + length;
            }
            queue->available.ring[(u16) (queue->available.index + i) % QUEUE_SIZE] = head;
        }
        queue->seen = now;
        publish(queue, 0, more);
    }
}

static void receive_all(u32 size) {
    print('r');
    receive(warm_ups[size] / 2, lengths[size]);
    print('s');
    receive(received_counts[size], lengths[size]);
    print('t');
}

static void measure(void) {
    if (find_net()) {
        negotiate(FEATURE_CSUM | FEATURE_GUEST_CSUM | FEATURE_GUEST_TSO4 | FEATURE_HOST_TSO4 |
                  FEATURE_MRG_RXBUF | FEATURE_EVENT_IDX);
        enable(receiving, 0);
        enable(sending, 1);
        drive();
        for (u32 size = 0; size < SIZES; size++) {
            send_all(size);
        }
        for (u32 i = 0; i < QUEUE_SIZE; i++) {
            receiving->descriptors[i].address = BUFFERS + i * ROOM;
            receiving->descriptors[i].length = ROOM;
            receiving->descriptors[i].flags = WRITABLE;
        }
        fill(receiving, 0);
        for (u32 size = 0; size < SIZES; size++) {
            receive_all(size);
        }
    }
    __asm__ volatile("out %0, $0xf4" : : "a"(0));
    while (1) {}
}

unsigned run(void) {
    // to ring 3, with the I/O ports
    __asm__ volatile("push $0x23; push $0x80000; push $0x3002; push $0x2b; push %0; iretq"
                     :
                     : "r"((u64) measure));
    return 0;
}
