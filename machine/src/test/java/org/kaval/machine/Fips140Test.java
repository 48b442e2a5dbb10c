package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Fips140Test {
    private static final int BLOCKS = 20;

    private static byte[] random() {
        byte[] bytes = new byte[BLOCKS * Fips140.BLOCK];
        new Random(1).nextBytes(bytes); // with this seed all blocks look random
        return bytes;
    }

    @Test
    void randomBitsPass() {
        assertEquals(BLOCKS, Fips140.passes(random()));
    }

    @Test
    void bitsThatAreNotRandomFail() {
        byte[] fewDigits = random();
        byte[] alternating = random();
        for (int i = 0; i < alternating.length; i++) {
            fewDigits[i] = (byte) (fewDigits[i] % 10);
            alternating[i] = 0x55;
        }
        byte[] longRun = random();
        Arrays.fill(longRun, 0, 4, (byte) 0);

        assertEquals(0, Fips140.passes(fewDigits));
        assertEquals(0, Fips140.passes(alternating));
        assertEquals(BLOCKS - 1, Fips140.passes(longRun));
        assertEquals(0, Fips140.passes(new byte[Fips140.BLOCK]));
    }
}
