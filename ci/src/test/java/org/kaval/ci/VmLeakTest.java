package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.kaval.machine.Vm;
import org.kaval.machine.VmOutcome;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsKvm;

/// Machines leave nothing behind.
@NeedsKvm
class VmLeakTest {
    private static final int MACHINES = Effort.times(1000);

    @Test
    void aThousandMachinesLeaveNothing() throws Exception {
        runOne(0);
        Leaks before = Leaks.now();
        for (int i = 0; i < MACHINES; i++) {
            runOne(i & 0x7f);
        }
        assertEquals(before, Leaks.now());
    }

    private static void runOne(int code) throws Exception {
        try (Vm vm =
                Vm.builder()
                        .memory(16 << 20)
                        .boot(FlatPayload.of(Payloads.exit(code), Mode.LONG64))
                        .build()) {
            vm.start();
            assertEquals(new VmOutcome.DebugExit(code), vm.awaitExit(Duration.ofSeconds(30)));
        }
    }
}
