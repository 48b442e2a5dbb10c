package org.kaval.nested;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Boots Bochs, which takes half a minute each: with the profile `vtx` only.
@Tag("bochs")
@Timeout(value = 15, unit = TimeUnit.MINUTES) // half a minute on an idle processor
class BochsHostTest {
    private static final BochsHost.Settings SETTINGS =
            new BochsHost.Settings().withTimeLimit(Duration.ofMinutes(14));

    private static final byte[] NONE = {};

    @Test
    void hasVtxWithEptAndReturnsOutputAndStatusWhateverIsOnItsScreen() throws Exception {
        byte[] input = "bytes \0\n\r\u007f".getBytes(StandardCharsets.US_ASCII);
        String script =
                """
                cat
                # more than the terminal that Bochs draws on holds, were it not read
                i=0
                while [ $i -lt 40 ]; do
                    head -c 1400 /dev/urandom | base64 >/dev/tty1
                    sleep 0.3
                    i=$((i + 1))
                done
                cat /sys/module/kvm_intel/parameters/ept
                test -w /dev/kvm && grep -om1 ' vmx ' /proc/cpuinfo
                echo to the console >&2
                exit 7
                """;

        try (BochsHost host = BochsHost.start(SETTINGS, script, input)) {
            String output = new String(host.output().readAllBytes(), StandardCharsets.US_ASCII);

            assertEquals(7, host.await(), host.console());
            assertEquals("bytes \0\n\r\u007fY\n vmx \n", output);
            assertEquals(1, host.console().split("to the console", -1).length - 1);
            assertFalse(host.isAlive());
        }
    }

    @Test
    void kernelPanicEndsItWithItsWords() throws Exception {
        String script = "echo before; sleep 1; echo c >/proc/sysrq-trigger";

        try (BochsHost host = BochsHost.start(SETTINGS, script, NONE)) {
            assertEquals(
                    "before\n",
                    new String(host.output().readAllBytes(), StandardCharsets.US_ASCII));
            var failure = assertThrows(NestedHostException.class, host::await);

            assertEquals(
                    "the Bochs host has ended: kernel panic: sysrq triggered crash",
                    failure.getMessage());
        }
    }

    @Test
    void timeLimitEndsIt() throws Exception {
        Duration limit = Duration.ofSeconds(2);

        try (BochsHost host = BochsHost.start(SETTINGS.withTimeLimit(limit), "sleep 1000", NONE)) {
            var failure = assertThrows(NestedHostException.class, host::await);

            assertEquals(
                    "the Bochs host has ended: its time limit of 2 s was reached",
                    failure.getMessage());
            assertFalse(host.isAlive());
        }
    }

    @Test
    void missingBochsIsNamedWithItsPackages(@TempDir Path empty) {
        var failure =
                assertThrows(NestedHostException.class, () -> BochsHost.checkInstalled(empty));

        assertEquals(
                "Bochs is not complete: no /usr/bin/bochs-bin: apt-get install bochs bochs-term"
                        + " bochsbios vgabios isolinux syslinux-common xorriso",
                failure.getMessage());
    }
}
