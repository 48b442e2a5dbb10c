// A guest without a system: writes 4 KiB blocks all over the first disk, and after each few of them
// flushes and tells the serial port how many are safe. Flat 64-bit code, entered at its first byte,
// for `kaval run --mmio --payload`. For ever, or until its disk is full; then it exits with 0, and
// with 1 if the disk refuses something.

#include "virtio-blk.h"

enum {
    STRIDE = 7919, // the next block: prime, so that all are reached
    WRITES_PER_FLUSH = 4,
};

unsigned run(void) {
    begin(FEATURE_FLUSH);
    u64 blocks = capacity() / (BLOCK / 512);
    for (u64 i = 0; i < blocks; i++) {
        block[0] = block[BLOCK / 8 - 1] = i + 1;
        if (request(WRITE, i * STRIDE % blocks * (BLOCK / 512))) {
            return 1;
        }
        if ((i + 1) % WRITES_PER_FLUSH == 0) {
            if (request(FLUSH, 0)) {
                return 1;
            }
            print_number(i + 1);
        }
    }
    return 0;
}
