package org.kaval.machine;

import java.util.Arrays;
import java.util.stream.IntStream;

/// The tests of FIPS 140-2, section 4.9.1, change notice 1, as rngtest(1) makes them: whether
/// 20,000 bits look random. Of random ones, one block in about 1200 does not.
final class Fips140 {
    /// How many bytes a block has.
    static final int BLOCK = 2500;

    /// Of runs of 1, 2, … 5, and of 6 or more equal bits.
    private static final int[] LEAST_RUNS = {2315, 1114, 527, 240, 103, 103};

    private static final int[] MOST_RUNS = {2685, 1386, 723, 384, 209, 209};
    private static final int TOO_LONG = 26;

    private Fips140() {}

    /// How many of the blocks in `bytes` look random.
    static long passes(byte[] bytes) {
        return IntStream.range(0, bytes.length / BLOCK)
                .mapToObj(i -> Arrays.copyOfRange(bytes, i * BLOCK, (i + 1) * BLOCK))
                .filter(block -> isBalanced(block) && isEvenlySpread(block) && hasRuns(block))
                .count();
    }

    private static boolean isBalanced(byte[] block) {
        int ones = 0;
        for (byte each : block) {
            ones += Integer.bitCount(each & 0xff);
        }
        return ones > 9725 && ones < 10275;
    }

    /// The poker test: how often each four bits are there.
    private static boolean isEvenlySpread(byte[] block) {
        long[] counts = new long[16];
        for (byte each : block) {
            counts[each & 15]++;
            counts[each >> 4 & 15]++;
        }
        double squares = Arrays.stream(counts).map(count -> count * count).sum();
        double value = 16.0 / 5000 * squares - 5000;
        return value > 2.16 && value < 46.17;
    }

    private static boolean hasRuns(byte[] block) {
        int[][] runs = new int[2][6]; // of zeroes, of ones
        int length = 0;
        for (int i = 0; i < BLOCK * Byte.SIZE; i++) {
            length++;
            boolean ends = i + 1 == BLOCK * Byte.SIZE || bit(block, i + 1) != bit(block, i);
            if (length >= TOO_LONG) {
                return false;
            }
            if (ends) {
                runs[bit(block, i)][Math.min(length, 6) - 1]++;
                length = 0;
            }
        }
        return Arrays.stream(runs).allMatch(Fips140::areUsual);
    }

    private static int bit(byte[] block, int index) {
        return block[index / Byte.SIZE] >> (index % Byte.SIZE) & 1;
    }

    private static boolean areUsual(int[] runs) {
        return IntStream.range(0, runs.length)
                .allMatch(i -> runs[i] >= LEAST_RUNS[i] && runs[i] <= MOST_RUNS[i]);
    }
}
