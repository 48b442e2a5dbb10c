// A machine in C for the guests of benchmarks: one processor, 128 MiB, entered as FlatPayload does it.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void check(int bad, const char *what) {
    if (bad) {
        perror(what);
        exit(1);
    }
}

static const size_t memory_size = 128 << 20;
static uint8_t *memory;
static int kvm, vm, vcpu, run_size;
static struct kvm_run *run;

static void segment(struct kvm_segment *s, int selector, int type, int l) {
    memset(s, 0, sizeof *s);
    s->limit = 0xffffffff;
    s->selector = selector;
    s->type = type;
    s->present = 1;
    s->s = 1;
    s->l = l;
    s->db = !l;
    s->g = 1;
}

// 64-bit mode with the first 4 GiB mapped to themselves, as FlatPayload does it
static void set_up(const uint8_t *code, size_t length) {
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    check(kvm < 0, "/dev/kvm");
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    check(vm < 0, "KVM_CREATE_VM");
    memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(memory == MAP_FAILED, "mmap");
    struct kvm_userspace_memory_region region = {
        .memory_size = memory_size, .userspace_addr = (uintptr_t)memory};
    check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0, "KVM_SET_USER_MEMORY_REGION");
    check(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) < 0, "KVM_SET_TSS_ADDR");
    check(ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0, "KVM_CREATE_IRQCHIP");
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    check(ioctl(vm, KVM_CREATE_PIT2, &pit) < 0, "KVM_CREATE_PIT2");

    memcpy(memory + 0x100000, code, length);
    uint64_t *gdt = (uint64_t *)(memory + 0x500);
    gdt[2] = 0x00af9b000000ffff;
    gdt[3] = 0x00cf93000000ffff;
    gdt[4] = 0x00cff3000000ffff;
    gdt[5] = 0x00affb000000ffff;
    *(uint64_t *)(memory + 0x9000) = 0xa007;
    for (int i = 0; i < 4; i++) {
        *(uint64_t *)(memory + 0xa000 + i * 8) = (0xb000 + i * 0x1000) | 7;
        for (uint64_t j = 0; j < 512; j++) {
            *(uint64_t *)(memory + 0xb000 + i * 0x1000 + j * 8) = ((i * 512 + j) << 21) | 0x87;
        }
    }

    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    check(vcpu < 0, "KVM_CREATE_VCPU");
    run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    check(run == MAP_FAILED, "mmap kvm_run");
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid = {.head.nent = 256};
    check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0, "KVM_GET_SUPPORTED_CPUID");
    check(ioctl(vcpu, KVM_SET_CPUID2, &cpuid) < 0, "KVM_SET_CPUID2");
    struct kvm_sregs sregs;
    check(ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0, "KVM_GET_SREGS");
    segment(&sregs.cs, 0x10, 0xb, 1);
    segment(&sregs.ds, 0x18, 0x3, 0);
    sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
    sregs.gdt.base = 0x500;
    sregs.gdt.limit = 6 * 8 - 1;
    sregs.cr3 = 0x9000;
    sregs.cr4 = 1 << 5 | 1 << 9 | 1 << 10;
    sregs.cr0 = 1u << 31 | 1 << 5 | 1 << 4 | 1 << 1 | 1;
    sregs.efer = 1 << 8 | 1 << 10;
    check(ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0, "KVM_SET_SREGS");
    struct kvm_regs regs = {.rip = 0x100000, .rsp = 0x7c00, .rflags = 2};
    check(ioctl(vcpu, KVM_SET_REGS, &regs) < 0, "KVM_SET_REGS");
}
