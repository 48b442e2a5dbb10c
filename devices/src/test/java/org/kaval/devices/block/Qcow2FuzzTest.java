package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.linux.IoVector;

/// Images that a fuzzer makes up: they are read, checked and written, or refused with one line, in
/// bounded time and memory.
///
/// A build replays the seeds and what has been found. To look for more: `./kaval fuzz anyImage`
class Qcow2FuzzTest {
    private static final int LENGTH = 5000;
    private static final long LARGEST = 64 << 20;

    private static final MemorySegment MEMORY = Arena.global().allocate(LENGTH);

    static Stream<byte[]> images() throws IOException {
        var images = new ArrayList<byte[]>();
        images.add(new byte[0]);
        for (int bits : new int[] {9, 12}) {
            var file = new MemoryFile();
            Qcow2Format.of(100_000).withClusterBits(bits).write(file);
            images.add(file.content());
            try (Qcow2Image image = Qcow2Image.over(file, ImageOptions.WRITABLE, null)) {
                Bytes.write(image, 3000, Bytes.of(5, LENGTH));
                image.writeZeroes(20_000, 10_000, true);
            }
            images.add(file.content());
        }
        return images.stream();
    }

    @MethodSource("images")
    @FuzzTest(maxDuration = "60s")
    void anyImage(byte[] bytes) throws IOException {
        try {
            check(bytes);
            use(bytes, ImageOptions.READ_ONLY);
            use(bytes, ImageOptions.WRITABLE);
        } catch (IOException refused) {
            String message = String.valueOf(refused.getMessage());
            // ENOSPC too: the file in memory is limited
            assertTrue(message.matches("(\\w+ on )?memory: [^\\n]+"), message);
        }
    }

    private static void check(byte[] bytes) throws IOException {
        var file = new MemoryFile(bytes);
        if (Qcow2Header.read(file).size() <= LARGEST) {
            Qcow2Check.check(file, Qcow2Check.Repair.NOTHING, Progress.NONE);
        }
    }

    private static void use(byte[] bytes, ImageOptions options) throws IOException {
        // a file in memory cannot hold what a sparse one can
        var file = new MemoryFile(bytes);
        file.limit(LARGEST);
        try (Qcow2Image image = Qcow2Image.over(file, options, null)) {
            int length = (int) Math.min(LENGTH, image.size());
            long[] places = {0, image.size() / 2, image.size() - length};
            IoVector vector = IoVector.of(MEMORY);
            for (long place : places) {
                long at = Math.min(place, image.size() - length);
                image.read(at, vector, 0, length);
                if (!options.readOnly()) {
                    image.write(at, vector, 0, length);
                    image.discard(at, length);
                    image.writeZeroes(at, length, true);
                    image.flush();
                }
            }
        }
    }
}
