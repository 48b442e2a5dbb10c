package org.kaval.machine;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.Device;
import org.kaval.linux.Fd;
import org.kaval.machine.Host.Resources;
import org.kaval.machine.boot.BootSource;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestRange;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsKvm;

/// That machines take nothing with them, and many live beside each other.
@NeedsKvm
class VmCleanupTest {
    private static final long MEMORY = 16 << 20;

    private static final Device NOTHING =
            new Device() {
                @Override
                public long read(long offset, int size) {
                    return 0;
                }

                @Override
                public void write(long offset, int size, long value) {}
            };

    private Resources before;

    @BeforeEach
    void look() throws IOException {
        before = Resources.now();
    }

    private static VmBuilder builder(BootSource source) {
        return Vm.builder().memory(MEMORY).boot(source);
    }

    private void assertBuildFails(Exception expected, VmBuilder builder) throws Exception {
        var failure = assertThrows(expected.getClass(), builder::build);

        assertEquals(expected.getMessage(), failure.getMessage());
        before.awaitAgain();
    }

    @Test
    void runningMachineHasWhatItSays() throws Exception {
        try (Vm vm = builder(Guests.spins()).cpus(2).memoryBacking(new Backing.Memfd()).build()) {
            vm.start();
            Resources during = Resources.now();

            assertEquals(
                    List.of("event-loop", "serial0-out", "vcpu-0", "vcpu-1"), during.threads());
            assertEquals(3, during.mappings() - before.mappings()); // two vCPUs and the memory
            assertTrue(
                    during.descriptors().contains("anon_inode:kvm-vm"),
                    () -> during.descriptors().toString());
            assertEquals(0, during.descriptors().stream().filter("/dev/kvm"::equals).count());
        }
        before.awaitAgain();
    }

    @Test
    void machineHasOneThreadForItsTimers() throws Exception {
        try (Vm vm = builder(Guests.spins()).build()) {
            vm.start();

            assertEquals(List.of("event-loop", "serial0-out", "vcpu-0"), Host.threadNames());
        }
    }

    @Test
    void threadsAreDaemonsSoThatAForgottenMachineDoesNotKeepTheProcess() throws Exception {
        try (Vm vm = builder(Guests.spins()).build()) {
            vm.start();

            assertEquals(
                    List.of(),
                    Thread.getAllStackTraces().keySet().stream()
                            .filter(thread -> Host.threadNames().contains(thread.getName()))
                            .filter(thread -> !thread.isDaemon())
                            .toList());
        }
    }

    @Test
    void machineThatWasNeverStartedLeavesNothing() throws Exception {
        builder(Guests.spins()).build().close();

        before.awaitAgain();
    }

    /// Not soon after, but when it returns: a caller may unload, fork or measure then.
    @Test
    void threadsHaveEndedWhenCloseReturns() throws Exception {
        var left = new ArrayList<String>();
        for (int i = 0; i < Effort.times(100); i++) {
            try (Vm vm = builder(Guests.exits(1)).cpus(2).build()) {
                vm.start();
                vm.awaitExit(Host.LIMIT);
            }
            left.addAll(Host.threadNames());
        }

        assertEquals(List.of(), left);
    }

    @Test
    void missingPayloadLeavesNothing(@TempDir Path directory) throws Exception {
        Path file = directory.resolve("none");

        assertBuildFails(
                new IOException(file + ": no such file"),
                builder(FlatPayload.of(file, Mode.LONG64)));
    }

    @Test
    void payloadLargerThanRamLeavesNothing() throws Exception {
        byte[] code = new byte[(int) MEMORY];

        assertBuildFails(
                new IOException(
                        "the payload: 16777216 bytes at 0x7c00 do not fit into 16 MiB of memory"),
                builder(FlatPayload.of(code, Mode.REAL16)).cpus(2));
    }

    @Test
    void bootSourceThatFailsLeavesNothing() throws Exception {
        assertBuildFails(
                new GuestFault("no RAM there"),
                builder(_ -> {
                    throw new GuestFault("no RAM there");
                }));
    }

    @Test
    void deviceFactoryThatThrowsLeavesNothing() throws Exception {
        assertBuildFails(
                new UnsupportedOperationException("a bug"),
                builder(Guests.exits(0))
                        .device(machine -> {
                            machine.interruptLine(5);
                            machine.eventLoop();
                            throw new UnsupportedOperationException("a bug");
                        }));
    }

    @Test
    void deviceFactoryThatTheHostRefusesLeavesNothingAndClosesWhatItNamed() throws Exception {
        var closed = new ArrayList<String>();

        assertBuildFails(
                new IOException("no such tap"),
                builder(Guests.exits(0))
                        .device(machine -> machine.onClose(() -> closed.add("first")))
                        .device(machine -> {
                            machine.onClose(() -> closed.add("second"));
                            throw new IOException("no such tap");
                        }));

        assertEquals(List.of("second", "first"), closed);
    }

    @Test
    void occupiedPortRangeLeavesNothing() throws Exception {
        assertBuildFails(
                new IllegalArgumentException("port 0x3ff-0x400: 16550A UART has 0x3f8-0x3ff"),
                builder(Guests.exits(0))
                        .device(machine -> machine.ports().add(new GuestRange(0x3ff, 2), NOTHING)));
    }

    @Test
    void failedBuildLeavesSerialInputOpen(@TempDir Path directory) throws Exception {
        Path file = Files.write(directory.resolve("input"), new byte[] {7});
        try (Fd source = Fd.open(file, Fd.Access.READ)) {
            assertBuildFails(
                    new IOException("the payload: empty"),
                    builder(FlatPayload.of(new byte[0], Mode.REAL16)).serialInput(source));

            assertTrue(source.number() >= 0, "it is the caller's to close");
        }
    }

    @Test
    void builderThatFailedBuildsOnceTheReasonIsGone(@TempDir Path directory) throws Exception {
        Path file = directory.resolve("payload");
        VmBuilder builder = builder(FlatPayload.of(file, Mode.REAL16));
        assertThrows(IOException.class, builder::build);
        Files.write(file, Guests.bytes(0xb0, 0x11, 0xe6, 0xf4)); // mov al, 0x11; out 0xf4, al

        try (Vm vm = builder.build()) {
            vm.start();
            assertEquals(new VmOutcome.DebugExit(0x11), vm.awaitExit(Host.LIMIT));
        }
        before.awaitAgain();
    }

    @Test
    void manyMachinesLiveBesideEachOther() throws Exception {
        List<Machines> machines =
                IntStream.range(0, 20).mapToObj(number -> new Machines(number + 'a')).toList();

        for (Machines machine : machines) {
            machine.start();
        }
        assertEquals(20, Host.threadNames().stream().filter("serial0-out"::equals).count());
        for (Machines machine : machines) {
            assertEquals(new VmOutcome.DebugExit(machine.code), machine.awaitExit());
            assertEquals(Character.toString(machine.code), machine.output.toString(US_ASCII));
        }
        before.awaitAgain();
    }

    /// One of many: it exits with `code` after it has sent it.
    private static final class Machines {
        private final int code;
        private final ByteArrayOutputStream output = new ByteArrayOutputStream();
        private final Vm vm;

        Machines(int code) {
            this.code = code;
            try {
                vm = builder(Guests.exits(code)).serialOutput(output).build();
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }

        void start() {
            vm.start();
        }

        VmOutcome awaitExit() throws InterruptedException {
            try (vm) {
                return vm.awaitExit(Host.LIMIT);
            }
        }
    }

    @Test
    void crashOfOneMachineLeavesTheOthersAlone() throws Exception {
        try (Vm counting = builder(Guests.counts()).build()) {
            counting.start();
            try (Vm crashing = builder(Guests.triplesFault()).build()) {
                crashing.start();
                assertSame(VmOutcome.Crashed.class, crashing.awaitExit(Host.LIMIT).getClass());
            }
            long count = counting.memory().readLe64(Guests.COUNTER);

            Host.until(
                    "the other goes on", () -> counting.memory().readLe64(Guests.COUNTER) > count);
        }
        before.awaitAgain();
    }

    @Test
    void manyMachinesInARowLeaveNothing() throws Exception {
        for (int i = 0; i < Effort.times(200); i++) {
            try (Vm vm = builder(Guests.exits(i)).build()) {
                vm.start();
                assertEquals(new VmOutcome.DebugExit(i), vm.awaitExit(Host.LIMIT));
            }
        }

        before.awaitAgain();
    }
}
