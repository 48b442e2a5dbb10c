package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.kaval.machine.LinuxKernel.Protocol;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// How a Linux guest ends: by itself, in a panic, and when it is asked to from outside.
@NeedsHardwareVirtualization
@NeedsFiles(value = LinuxGuests.FOLDER, madeBy = LinuxGuests.class)
class LinuxEndTest {
    private static final Duration LIMIT = Duration.ofMinutes(4);

    private final Transcript console = new Transcript();

    private Vm start(int cpus, String end) throws IOException {
        String commandLine = "console=ttyS0 quiet cryptomgr.notests test.end=" + end;
        Vm vm =
                Vm.builder()
                        .cpus(cpus)
                        .memory(192L << 20)
                        .boot(LinuxKernel.CLOUD.by(Protocol.FAST).commandLine(commandLine))
                        .serialOutput(console)
                        .build();
        vm.start();
        return vm;
    }

    private void assertEnds(Vm vm, VmOutcome outcome, String words) throws InterruptedException {
        assertEquals(outcome, vm.awaitExit(LIMIT), console.toString());
        assertTrue(console.contains(words), console.toString());
    }

    @Test
    void haltEnds() throws Exception {
        try (Vm vm = start(2, "halt")) {
            assertEnds(vm, new VmOutcome.Halted(), "reboot: System halted");
        }
    }

    @Test
    void panicRestartsIfTheKernelIsToldTo() throws Exception {
        try (Vm vm = start(1, "crash panic=-1")) {
            assertEnds(vm, new VmOutcome.Rebooted(), "Kernel panic - not syncing: sysrq");
        }
    }

    /// The kernel goes on to spin and to blink with the keyboard's lights.
    @Test
    void panicStandsElse() throws Exception {
        try (Vm vm = start(1, "crash panic=0")) {
            console.await("---[ end Kernel panic - not syncing: sysrq", LIMIT);
            assertEquals(new VmOutcome.TimedOut(), vm.awaitExit(Duration.ofSeconds(5)));
        }
    }

    @Test
    void controlAltDeleteRestarts() throws Exception {
        try (Vm vm = start(1, "wait")) {
            console.await("waits for a button", LIMIT);
            assertTrue(vm.ctrlAltDelete());
            assertEnds(vm, new VmOutcome.Rebooted(), "end: wait");
        }
    }

    @Test
    void powerButtonIsHeard() throws Exception {
        try (Vm vm = start(1, "wait")) {
            console.await("waits for a button", LIMIT);
            assertTrue(vm.powerButton());
            assertEnds(vm, new VmOutcome.PoweredOff(), "the power button was pressed");
        }
    }
}
