package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostMemoryTest {
    private static final long MIB = 1 << 20;

    @TempDir private Path directory = Path.of("");

    @Test
    void valuesAreReadInBytesAndPages() throws IOException {
        Path file =
                meminfo(
                        """
                        MemTotal:       16384000 kB
                        MemFree:         1234567 kB
                        SwapCached:            1 kB
                        SwapTotal:       2097148 kB
                        HugePages_Total:      64
                        HugePages_Free:       60
                        HugePages_Rsvd:       10
                        HugePages_Surp:        0
                        Hugepagesize:       2048 kB
                        Hugetlb:          131072 kB
                        """);

        HostMemory memory = HostMemory.read(file);

        assertEquals(new HostMemory(16384000L * 1024, 2097148L * 1024, 2 * MIB, 50), memory);
    }

    @Test
    void sizeBeyondAnIntIsRead() throws IOException {
        Path file = meminfo("MemTotal:       25769803776 kB\n"); // 24 TiB

        assertEquals(24L << 40, HostMemory.read(file).total());
    }

    @Test
    void kernelWithoutHugePagesOrSwapHasNone() throws IOException {
        Path file = meminfo("MemTotal: 4096 kB\nMemFree: 1 kB\n");

        assertEquals(new HostMemory(4 * MIB, 0, 0, 0), HostMemory.read(file));
    }

    @Test
    void keyIsNotTakenForAnotherThatItBegins() throws IOException {
        Path file = meminfo("MemTotalOfAll: 1 kB\nMemTotal: 2 kB\n");

        assertEquals(2048, HostMemory.read(file).total());
    }

    @Test
    void missingFileIsReported() {
        Path missing = directory.resolve("missing");

        assertThrows(NoSuchFileException.class, () -> HostMemory.read(missing));
    }

    @Test
    void thisHostHasMemory() throws IOException {
        HostMemory memory = HostMemory.read();

        assertTrue(memory.total() >= 64 * MIB, () -> "total is " + memory.total());
        assertTrue(memory.swap() >= 0);
        assertTrue(memory.freeHugePages() >= 0);
    }

    private Path meminfo(String text) throws IOException {
        return Files.writeString(directory.resolve("meminfo"), text);
    }
}
