package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.linux.ErrnoException;

class DiscardTest {
    private static final long PAGE = 4096;
    private static final long BASE = 0x10_0000;

    @TempDir private Path directory;

    private static GuestMemory allocate(Backing backing) throws IOException {
        return GuestMemory.allocate(List.of(new GuestRange(BASE, 4 * PAGE)), backing);
    }

    /// What is in the first bytes of the four pages once the middle two are discarded.
    private static List<Integer> afterDiscard(Backing backing) throws IOException {
        try (GuestMemory memory = allocate(backing)) {
            for (int i = 0; i < 4; i++) {
                memory.writeByte(BASE + i * PAGE, 1 + i);
            }
            memory.discard(BASE + PAGE, 2 * PAGE);
            return List.of(
                    memory.readByte(BASE),
                    memory.readByte(BASE + PAGE),
                    memory.readByte(BASE + 2 * PAGE),
                    memory.readByte(BASE + 3 * PAGE));
        }
    }

    @Test
    void anonymousMemoryIsZeroes() throws Exception {
        assertEquals(List.of(1, 0, 0, 4), afterDiscard(new Backing.Anonymous(false)));
        assertEquals(List.of(1, 0, 0, 4), afterDiscard(new Backing.Anonymous(true)));
    }

    @Test
    void memfdIsZeroes() throws Exception {
        assertEquals(List.of(1, 0, 0, 4), afterDiscard(new Backing.Memfd()));
    }

    @Test
    void fileIsWhatItWas() throws Exception {
        byte[] content = new byte[4 * (int) PAGE];
        Arrays.fill(content, (byte) 9);
        Path file = Files.write(directory.resolve("memory"), content);

        assertEquals(List.of(1, 9, 9, 4), afterDiscard(new Backing.PrivateFile(file, 0)));
        assertEquals(9, Files.readAllBytes(file)[0]);
    }

    @Test
    void whatIsNoRamOrNoPagesIsRefused() throws Exception {
        try (GuestMemory memory = allocate(new Backing.Memfd())) {
            assertThrows(GuestFault.class, () -> memory.discard(0, PAGE));
            assertThrows(GuestFault.class, () -> memory.discard(BASE + PAGE, 4 * PAGE));
            assertThrows(ErrnoException.class, () -> memory.discard(BASE + 1, PAGE));
        }
    }
}
