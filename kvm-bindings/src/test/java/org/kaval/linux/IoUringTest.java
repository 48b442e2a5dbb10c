package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IoUringTest {
    private static final int ENTRIES = 8;
    private static final int BLOCK = 4096;

    @TempDir private Path directory = Path.of("");

    private final MemorySegment memory = Arena.ofAuto().allocate(ENTRIES * BLOCK, BLOCK);
    private final byte[] content = new byte[ENTRIES * BLOCK];
    private IoUring ring;
    private Fd file;

    @BeforeEach
    void open() throws IOException {
        new Random(1).nextBytes(content);
        Path path = Files.write(directory.resolve("file"), content);
        Optional<IoUring> opened = IoUring.open(ENTRIES);
        assumeTrue(opened.isPresent(), "this kernel has no io_uring, or forbids it");
        ring = opened.get();
        file = Fd.open(path, Fd.Access.READ_WRITE);
    }

    @AfterEach
    void close() {
        if (ring != null) {
            ring.close();
            file.close();
        }
    }

    private IoVector block(int index) {
        var vector = new IoVector(2);
        vector.add(memory, (long) index * BLOCK, 100);
        vector.add(memory, (long) index * BLOCK + 100, BLOCK - 100);
        return vector;
    }

    private byte[] memory() {
        return memory.toArray(JAVA_BYTE);
    }

    private void awaitResult() {
        while (!ring.next()) {
            ring.await();
        }
    }

    @Test
    void readsHaveResultsWithTheirTokens() {
        var expected = new HashSet<Long>();
        for (int i = 0; i < ENTRIES; i++) {
            ring.read(file, block(i), (long) i * BLOCK, 100 + i);
            expected.add(100L + i);
        }
        ring.submit();
        var tokens = new HashSet<Long>();
        for (int i = 0; i < ENTRIES; i++) {
            awaitResult();
            assertEquals(BLOCK, ring.result());
            tokens.add(ring.token());
        }
        assertEquals(expected, tokens);
        assertArrayEquals(content, memory());
        assertFalse(ring.next());
    }

    /// The rings go round many times.
    @Test
    void writesAndFlushesGoToTheFile() throws Exception {
        byte[] expected = content.clone();
        for (int round = 0; round < 1000; round++) {
            int block = round % ENTRIES;
            memory.asSlice((long) block * BLOCK, BLOCK).fill((byte) round);
            Arrays.fill(expected, block * BLOCK, (block + 1) * BLOCK, (byte) round);
            ring.write(file, block(block), (long) block * BLOCK, round);
            awaitResult();
            assertEquals(round, ring.token());
            assertEquals(BLOCK, ring.result());
        }
        ring.flush(file, -1);
        awaitResult();
        assertEquals(-1, ring.token());
        assertEquals(0, ring.result());
        assertArrayEquals(expected, Files.readAllBytes(directory.resolve("file")));
    }

    @Test
    void resultsAreThoseOfTheSystemCalls() throws Exception {
        ring.read(file, block(0), content.length - 10, 1);
        awaitResult();
        assertEquals(10, ring.result());
        ring.read(file, block(0), content.length, 2);
        awaitResult();
        assertEquals(0, ring.result());
        try (Fd readOnly = Fd.open(directory.resolve("file"), Fd.Access.READ)) {
            ring.write(readOnly, block(0), 0, 3);
            awaitResult();
            assertEquals(-Errno.EBADF, ring.result());
        }
        assertThrows(IllegalArgumentException.class, () -> ring.read(file, new IoVector(1), 0, 4));
    }

    @Test
    void moreThanThereIsRoomForIsRefused() {
        for (int i = 0; i < ENTRIES; i++) {
            ring.flush(file, i);
        }
        assertThrows(IllegalStateException.class, () -> ring.flush(file, ENTRIES));
        for (int i = 0; i < ENTRIES; i++) {
            awaitResult();
        }
        assertThrows(IllegalArgumentException.class, () -> IoUring.open(0));
        assertThrows(IllegalArgumentException.class, () -> IoUring.open(IoUring.MAX_ENTRIES + 1));
    }

    @Test
    void wakeUpIsHeardInTheRing() throws Exception {
        try (WakeUp wakeUp = WakeUp.create("test")) {
            wakeUp.poll(ring, 5);
            ring.submit();
            assertFalse(ring.hasResult());
            for (int i = 0; i < 3; i++) {
                wakeUp.signal();
                awaitResult();
                assertEquals(5, ring.token());
                assertTrue(wakeUp.await(0));
                wakeUp.poll(ring, 5);
                ring.submit();
                assertFalse(ring.next(), "heard twice");
            }
            var other = Thread.ofPlatform().start(wakeUp::signal);
            awaitResult();
            other.join();
        }
    }
}
