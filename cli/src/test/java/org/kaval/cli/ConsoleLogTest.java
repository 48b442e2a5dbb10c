package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConsoleLogTest {
    @TempDir private Path directory = Path.of("");

    @Test
    void whatIsWrittenIsInTheFileAtOnce() throws Exception {
        Path file = directory.resolve("log");
        try (ConsoleLog log = ConsoleLog.open(file)) {
            log.write(new byte[] {1, 2, 3, 4}, 1, 2);
            assertArrayEquals(new byte[] {2, 3}, Files.readAllBytes(file));
            assertFalse(Files.exists(ConsoleLog.older(file)));
        }
    }

    @Test
    void twoFilesAreAllThatIsKept() throws Exception {
        Path file = directory.resolve("log");
        byte[] chunk = new byte[ConsoleLog.LIMIT / 4];
        try (ConsoleLog log = ConsoleLog.open(file)) {
            for (int i = 0; i < 11; i++) {
                Arrays.fill(chunk, (byte) i);
                log.write(chunk, 0, chunk.length);
            }
        }
        assertEquals(ConsoleLog.LIMIT, Files.size(ConsoleLog.older(file)));
        assertEquals(3L * chunk.length, Files.size(file));
        assertEquals(4, Files.readAllBytes(ConsoleLog.older(file))[0]);
        assertEquals(8, Files.readAllBytes(file)[0]);
    }

    @Test
    void withoutAFileNothingIsKept() {
        ConsoleLog log = ConsoleLog.none();
        log.write(new byte[10], 0, 10);
        log.close();
        assertEquals(0, directory.toFile().list().length);
    }
}
