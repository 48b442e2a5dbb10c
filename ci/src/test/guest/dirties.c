// A guest without a system that writes a word to each page of 64 MiB, over and over and paced, and tells
// the serial port every quarter of a second of the longest time for which it stood still. The loop is in
// ring 3, so that it runs on the processor itself with any KVM.
//
// Entered as FlatPayload does it. A report is three numbers of 16 hexadecimal digits, each with a line of
// its own: the time stamp counter, the longest gap between two readings of it, and the pages written.

#include "virtio-blk.h"

enum { WINDOW = 0x1000000, SIZE = 64 << 20, PAGE = 4096 };

// What the host puts in the place of these numbers: cycles from one page to the next, and to a report.
static volatile const u64 page_cycles = 0x6c6176614b000001;
static volatile const u64 report_cycles = 0x6c6176614b000002;

static u64 now(void) {
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (u64) high << 32 | low;
}

static void print_long(u64 value) {
    for (int digit = 60; digit >= 0; digit -= 4) {
        print("0123456789abcdef"[value >> digit & 15]);
    }
    print('\n');
}

static void dirty(void) {
    u64 step = page_cycles, period = report_cycles;
    u64 last = now(), write = last, report = last + period;
    u64 gap = 0, pages = 0, at = WINDOW;
    while (1) {
        u64 here = now();
        if (here - last > gap) {
            gap = here - last;
        }
        last = here;
        if (here >= write) {
            ++*(volatile u64 *) at;
            at = at + PAGE < WINDOW + SIZE ? at + PAGE : WINDOW;
            pages++;
            // what a page costs may be caught up with, but not what was not run
            write = here - write > 1000 * step ? here + step : write + step;
        }
        if (here >= report) {
            u64 longest = gap;
            gap = 0;
            report = here + period;
            print_long(here);
            print_long(longest);
            print_long(pages);
        }
    }
}

unsigned run(void) {
    // to ring 3, with the I/O ports
    __asm__ volatile("push $0x23; push $0x80000; push $0x3002; push $0x2b; push %0; iretq"
                     :
                     : "r"((u64) dirty));
    return 0;
}
