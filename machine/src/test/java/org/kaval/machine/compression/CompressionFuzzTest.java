package org.kaval.machine.compression;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.devices.compression.CorruptDataException;

/// Compressed data that a fuzzer makes up: it is decompressed, or refused with one line. The
/// segments that it goes from and to are as large as they say, so that an access beyond them is
/// found.
///
/// To look for more than a build replays: `./kaval fuzz anyData`
class CompressionFuzzTest {
    private static final int SIZE = 5000;

    static Stream<byte[]> seeds() {
        byte[] content = Compressed.content(1, SIZE);
        return Stream.of(Compression.values()).map(format -> Compressed.of(format, content));
    }

    @MethodSource("seeds")
    @FuzzTest(maxDuration = "5m")
    void anyData(byte[] data) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment from = arena.allocateFrom(ValueLayout.JAVA_BYTE, data);
            MemorySegment into = arena.allocate(SIZE);
            for (Compression format : Compression.values()) {
                decompress(format, from, into);
            }
        }
    }

    private static void decompress(Compression format, MemorySegment from, MemorySegment into) {
        try {
            format.decompress(from, into);
        } catch (CorruptDataException refused) {
            assertTrue(
                    String.valueOf(refused.getMessage()).matches("[^\\n]*expected [^\\n]+"),
                    refused.getMessage());
        }
    }
}
