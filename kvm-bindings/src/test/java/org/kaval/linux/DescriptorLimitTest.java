package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class DescriptorLimitTest {
    @Test
    void processWithoutDescriptorsGetsOneLineAndRecovers() throws Exception {
        var process =
                new ProcessBuilder(
                                "prlimit",
                                "--nofile=64:64",
                                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                location(Fd.class) + ":" + location(DescriptorLimit.class),
                                DescriptorLimit.class.getName())
                        .redirectErrorStream(true)
                        .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals("eventfd2 on event: EMFILE\nworks again: 1\n", output);
        assertEquals(0, process.waitFor());
    }

    /// Where the class loader has `type` from.
    private static Path location(Class<?> type) throws Exception {
        return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
    }
}
