package org.kaval.devices.compression;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// XXH64 with seed 0 (xxHash specification), which zstd's checksum is the lower half of.
final class XxHash64 {
    private static final long PRIME1 = 0x9e37_79b1_85eb_ca87L;
    private static final long PRIME2 = 0xc2b2_ae3d_27d4_eb4fL;
    private static final long PRIME3 = 0x1656_67b1_9e37_79f9L;
    private static final long PRIME4 = 0x85eb_ca77_c2b2_ae63L;
    private static final long PRIME5 = 0x27d4_eb2f_1656_67c5L;
    private static final int STRIPE = 32;

    private XxHash64() {}

    static long of(ByteBuffer bytes) {
        ByteBuffer input = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        long length = input.remaining();
        long hash = length >= STRIPE ? stripes(input) : PRIME5;
        hash += length;
        while (input.remaining() >= Long.BYTES) {
            hash = Long.rotateLeft(hash ^ round(0, input.getLong()), 27) * PRIME1 + PRIME4;
        }
        if (input.remaining() >= Integer.BYTES) {
            long lane = Integer.toUnsignedLong(input.getInt());
            hash = Long.rotateLeft(hash ^ (lane * PRIME1), 23) * PRIME2 + PRIME3;
        }
        while (input.hasRemaining()) {
            long lane = Byte.toUnsignedLong(input.get());
            hash = Long.rotateLeft(hash ^ (lane * PRIME5), 11) * PRIME1;
        }
        hash = (hash ^ (hash >>> 33)) * PRIME2;
        hash = (hash ^ (hash >>> 29)) * PRIME3;
        return hash ^ (hash >>> 32);
    }

    private static long stripes(ByteBuffer input) {
        long a = 0x60ea_27ee_adc0_b5d6L; // PRIME1 + PRIME2
        long b = PRIME2;
        long c = 0;
        long d = 0x61c8_864e_7a14_3579L; // -PRIME1
        while (input.remaining() >= STRIPE) {
            a = round(a, input.getLong());
            b = round(b, input.getLong());
            c = round(c, input.getLong());
            d = round(d, input.getLong());
        }
        long hash =
                Long.rotateLeft(a, 1)
                        + Long.rotateLeft(b, 7)
                        + Long.rotateLeft(c, 12)
                        + Long.rotateLeft(d, 18);
        hash = merge(hash, a);
        hash = merge(hash, b);
        hash = merge(hash, c);
        return merge(hash, d);
    }

    private static long round(long accumulator, long lane) {
        return Long.rotateLeft(accumulator + lane * PRIME2, 31) * PRIME1;
    }

    private static long merge(long hash, long accumulator) {
        return (hash ^ round(0, accumulator)) * PRIME1 + PRIME4;
    }
}
