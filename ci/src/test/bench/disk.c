// The path of a disk request in C, as short as Kaval's: one thread that an eventfd wakes, that looks for
// the next request for up to 32 us before it sleeps again if its last sleep was short, and that answers
// from the page cache (RWF_NOWAIT). Runs blocks.c with a virtio-mmio disk: disk PAYLOAD FILE. What the
// guest writes to the serial port is its output, and what it writes to port 0xf4 its exit status.
//
// It trusts its guest and does nothing that this one does not need: it is a yardstick, no device.
#define _GNU_SOURCE
#include "machine.h"
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum {
    REGISTERS = 0xf0000000u,
    QUEUE_NOTIFY = 0x50,
    QUEUE_SIZE = 128,
    NEXT = 1,
    DRIVER_OK = 4,
    EVENT_IDX = 1 << 29,
    VERSION_1 = 1,
    PATIENCE = 32000,
    GSI = 5,
};

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct available {
    uint16_t flags, index, ring[QUEUE_SIZE], used_event;
};

struct used {
    uint16_t flags, index;
    struct {
        uint32_t id, length;
    } ring[QUEUE_SIZE];
    uint16_t avail_event;
};

static uint32_t registers[0x200 / 4];
static const struct descriptor *descriptors;
static struct available *available;
static struct used *used;
static int file, doorbell, interrupt;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static uint16_t available_index(void) { return __atomic_load_n(&available->index, __ATOMIC_ACQUIRE); }

// Reads what the chain asks for; returns how much was written into the guest's memory.
static uint32_t serve(uint16_t head) {
    const struct descriptor *descriptor = &descriptors[head];
    uint64_t sector;
    memcpy(&sector, memory + descriptor->address + 8, sizeof sector);
    descriptor = &descriptors[descriptor->next];
    struct iovec vector = {memory + descriptor->address, descriptor->length};
    ssize_t got = preadv2(file, &vector, 1, sector * 512, RWF_NOWAIT);
    if (got != vector.iov_len) {
        got = preadv(file, &vector, 1, sector * 512);
    }
    memory[descriptors[descriptor->next].address] = got != vector.iov_len;
    return got + 1;
}

static void complete(uint16_t head, uint32_t length) {
    uint16_t old = used->index;
    used->ring[old % QUEUE_SIZE].id = head;
    used->ring[old % QUEUE_SIZE].length = length;
    __atomic_store_n(&used->index, old + 1, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); // the index before the driver's wish is read
    if (*(volatile uint16_t *)&available->used_event == old) {
        uint64_t one = 1;
        check(write(interrupt, &one, sizeof one) < 0, "irqfd");
    }
}

static void *serve_queue(void *unused) {
    uint64_t rings;
    uint16_t taken = 0;
    int64_t patience = 0;
    check(read(doorbell, &rings, sizeof rings) < 0, "doorbell");
    while (1) {
        while (taken != available_index()) {
            uint16_t head = available->ring[taken++ % QUEUE_SIZE];
            complete(head, serve(head));
        }
        for (int64_t start = now(); patience && taken == available_index() && now() - start < patience;) {
            __builtin_ia32_pause();
        }
        if (taken != available_index()) {
            continue;
        }
        *(volatile uint16_t *)&used->avail_event = taken;
        __atomic_thread_fence(__ATOMIC_SEQ_CST); // the wish before the index is read
        if (taken == available_index()) {
            int64_t start = now();
            check(read(doorbell, &rings, sizeof rings) < 0, "doorbell");
            patience = now() - start < 3 * PATIENCE ? PATIENCE : patience / 2 < 2000 ? 0 : patience / 2;
        }
    }
    return unused;
}

static void *guest(uint32_t offset) {
    return memory + (registers[offset / 4] | (uint64_t)registers[offset / 4 + 1] << 32);
}

static void start_device(void) {
    descriptors = guest(0x80);
    available = guest(0x90);
    used = guest(0xa0);
    pthread_t thread;
    check(pthread_create(&thread, NULL, serve_queue, NULL), "pthread_create");
}

static void answer_mmio(void) {
    uint64_t offset = run->mmio.phys_addr - REGISTERS;
    int known = offset < sizeof registers && run->mmio.len == 4;
    uint32_t value = known ? registers[offset / 4] : 0;
    if (!run->mmio.is_write) {
        if (offset == 0x10) { // features, by what was selected
            value = registers[0x14 / 4] ? VERSION_1 : EVENT_IDX;
        }
        memcpy(run->mmio.data, &value, sizeof value);
    } else if (known) {
        memcpy(&registers[offset / 4], run->mmio.data, 4);
        if (offset == 0x70 && registers[offset / 4] & DRIVER_OK) {
            start_device();
        }
    }
}

static void answer_port(void) {
    uint8_t *value = (uint8_t *)run + run->io.data_offset;
    if (run->io.direction == KVM_EXIT_IO_IN) {
        *value = 0x60; // the serial port can take a byte
    } else if (run->io.port == 0x3f8) {
        check(write(STDOUT_FILENO, value, 1) != 1, "output");
    } else if (run->io.port == 0xf4) {
        exit(*value);
    }
}

static void set_up_device(const char *path) {
    file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    check(file < 0 || fstat(file, &status), path);
    doorbell = eventfd(0, EFD_CLOEXEC);
    interrupt = eventfd(0, EFD_CLOEXEC);
    struct kvm_ioeventfd bell = {.addr = REGISTERS + QUEUE_NOTIFY, .len = 4, .fd = doorbell};
    check(ioctl(vm, KVM_IOEVENTFD, &bell) < 0, "KVM_IOEVENTFD");
    struct kvm_irqfd line = {.fd = interrupt, .gsi = GSI};
    check(ioctl(vm, KVM_IRQFD, &line) < 0, "KVM_IRQFD");
    registers[0] = 0x74726976;
    registers[1] = registers[2] = 2; // version, and a disk
    registers[0x34 / 4] = QUEUE_SIZE;
    registers[0x100 / 4] = status.st_size / 512;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: disk PAYLOAD FILE\n");
        return 2;
    }
    static uint8_t code[1 << 20];
    FILE *payload = fopen(argv[1], "r");
    check(!payload, argv[1]);
    set_up(code, fread(code, 1, sizeof code, payload));
    set_up_device(argv[2]);
    while (1) {
        check(ioctl(vcpu, KVM_RUN, 0) < 0, "KVM_RUN");
        if (run->exit_reason == KVM_EXIT_MMIO) {
            answer_mmio();
        } else if (run->exit_reason == KVM_EXIT_IO) {
            answer_port();
        } else {
            fprintf(stderr, "exit %u\n", run->exit_reason);
            return 1;
        }
    }
}
