// The exit round trip in C: the same guest, the same answer to each exit, and the same count of
// exits per round as ExitBenchmark has in Java. Started as "exits pio" or "exits mmio"; reads a number
// of exits per line and answers with the nanoseconds that they took. Started as "exits life" it answers
// with what as many machines took together: made, run to their first exit, closed.
#include "machine.h"

static uint64_t sink;

static void round_trips(long count) {
    for (long i = 0; i < count; i++) {
        check(ioctl(vcpu, KVM_RUN, 0) < 0, "KVM_RUN");
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            sink += *((uint8_t *)run + run->io.data_offset);
            break;
        case KVM_EXIT_MMIO: {
            uint64_t value;
            memcpy(&value, run->mmio.data, sizeof value);
            sink += value;
            break;
        }
        default:
            fprintf(stderr, "exit %u\n", run->exit_reason);
            exit(1);
        }
    }
}

static void tear_down(void) {
    munmap(run, run_size);
    close(vcpu);
    close(vm);
    close(kvm);
    munmap(memory, memory_size);
}

int main(int argc, char **argv) {
    // out 0x81, al; jmp to it
    static const uint8_t pio[] = {0xe6, 0x81, 0xeb, 0xfc};
    // mov edi, 0xd0000000; mov [rdi], eax; jmp to the mov
    static const uint8_t mmio[] = {0xbf, 0, 0, 0, 0xd0, 0x89, 0x07, 0xeb, 0xfc};
    const char *kind = argc == 2 ? argv[1] : "";
    int is_life = strcmp(kind, "life") == 0;
    if (strcmp(kind, "pio") == 0) {
        set_up(pio, sizeof pio);
    } else if (strcmp(kind, "mmio") == 0) {
        set_up(mmio, sizeof mmio);
    } else if (!is_life) {
        fprintf(stderr, "usage: exits pio|mmio|life\n");
        return 2;
    }
    long count;
    while (scanf("%ld", &count) == 1) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        if (is_life) {
            for (long i = 0; i < count; i++) {
                set_up(pio, sizeof pio);
                round_trips(1);
                tear_down();
            }
        } else {
            round_trips(count);
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%ld\n", (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec);
        fflush(stdout);
    }
    return 0;
}
