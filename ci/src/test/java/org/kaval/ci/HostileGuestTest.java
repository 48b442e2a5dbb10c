package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// A guest that breaks the rules of virtio gets the answer that the specification has for it, ruins
/// nothing but its own request, and has a disk again after a reset.
@NeedsKvm
@NeedsFiles(
        value = {"../cli/target/kaval", CompiledPayloads.FOLDER},
        madeBy = CompiledPayloads.class)
class HostileGuestTest {
    private static final int DISK = 1 << 20;

    /// What the guest looks for in sector 8.
    private static final long MARK = 0x4b_6176_6131L;

    @TempDir private Path directory;

    @Test
    void diskInMemoryMappedRegistersWithstandsItsDriver() throws Exception {
        assertWithstands("hostile", 49, "--mmio");
    }

    @Test
    void diskOnThePciBusWithstandsItsDriver() throws Exception {
        assertWithstands("hostile-pci", 60);
    }

    private void assertWithstands(String payload, int attacks, String... options) throws Exception {
        byte[] content = new byte[DISK];
        Arrays.fill(content, (byte) 0x5a);
        ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).putLong(8 * 512, MARK);
        Path disk = Files.write(directory.resolve("disk.raw"), content);
        try (RunningCommand kaval = CompiledPayloads.start(payload, disk, options)) {
            int failures = kaval.awaitExit();

            List<String> answers = kaval.output().lines().toList();
            assertEquals(attacks, answers.size(), kaval.output());
            assertEquals(0, failures, kaval.output());
            // of which there are more than the log is told of
            List<String> warnings = kaval.error().lines().toList();
            assertEquals(16, warnings.size(), kaval.error());
            assertTrue(
                    warnings.stream()
                            .allMatch(line ->
                                    line.startsWith("kaval: warning: disk0 needs a reset: ")),
                    kaval.error());
        }
        assertArrayEquals(content, Files.readAllBytes(disk));
    }
}
