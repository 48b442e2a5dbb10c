package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.devices.Device;
import org.kaval.devices.InterruptLine;
import org.kaval.machine.boot.BootSource;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestRange;
import org.kaval.testing.NeedsKvm;

/// Devices of the caller's own.
@NeedsKvm
class VmDeviceTest {
    private static final long MEMORY = 16 << 20;
    private static final GuestRange PORTS = new GuestRange(0x500, 4);

    /// Notes accesses, and reads as 0x66.
    private static final class Noting implements Device {
        private final List<String> accesses = new CopyOnWriteArrayList<>();

        @Override
        public long read(long offset, int size) {
            accesses.add("read %d+%d".formatted(offset, size));
            return 0x66;
        }

        @Override
        public void write(long offset, int size, long value) {
            accesses.add("write %d+%d 0x%x".formatted(offset, size, value));
        }
    }

    /// Does something when it is written to.
    private record Trigger(Runnable action) implements Device {
        @Override
        public long read(long offset, int size) {
            return 0;
        }

        @Override
        public void write(long offset, int size, long value) {
            action.run();
        }
    }

    private static VmBuilder builder(BootSource source) {
        return Vm.builder().memory(MEMORY).boot(source);
    }

    private static VmOutcome run(VmBuilder builder) throws Exception {
        try (Vm vm = builder.build()) {
            vm.start();
            return vm.awaitExit(Host.LIMIT);
        }
    }

    @Test
    void portDeviceSeesWhatTheGuestDoes() throws Exception {
        var device = new Noting();
        BootSource guest =
                Guests.real16(
                        0xba, 0x00, 0x05, // mov dx, 0x500
                        0xb8, 0x34, 0x12, // mov ax, 0x1234
                        0xef, // out dx, ax
                        0x42, // inc dx
                        0xec, // in al, dx
                        0xe6, 0xf4, // out 0xf4, al
                        0xf4); // hlt

        VmOutcome outcome =
                run(builder(guest).device(machine -> machine.ports().add(PORTS, device)));

        assertEquals(new VmOutcome.DebugExit(0x66), outcome);
        assertEquals(List.of("write 0+2 0x1234", "read 1+1"), device.accesses);
    }

    @Test
    void memoryMappedDeviceSeesWhatTheGuestDoes() throws Exception {
        var device = new Noting();
        var range = new GuestRange(0xd000_0000L, 0x1000);
        BootSource guest =
                Guests.protected32(
                        // mov dword [0xd0000000], 0x11223344
                        0xc7,
                        0x05,
                        0x00,
                        0x00,
                        0x00,
                        0xd0,
                        0x44,
                        0x33,
                        0x22,
                        0x11, //
                        0xa1,
                        0x04,
                        0x00,
                        0x00,
                        0xd0, // mov eax, [0xd0000004]
                        0xe7,
                        0xf4, // out 0xf4, eax
                        0xf4); // hlt

        VmOutcome outcome =
                run(builder(guest).device(machine -> machine.mmio().add(range, device)));

        assertEquals(new VmOutcome.DebugExit(0x66), outcome);
        assertEquals(List.of("write 0+4 0x11223344", "read 4+4"), device.accesses);
    }

    @Test
    void deviceReachesTheGuestsMemory() throws Exception {
        BootSource guest =
                Guests.real16(
                        0xba, 0x00, 0x05, // mov dx, 0x500
                        0xee, // out dx, al
                        0xa0, 0x00, 0x20, // mov al, [0x2000]
                        0xe6, 0xf4, // out 0xf4, al
                        0xf4); // hlt

        VmOutcome outcome =
                run(
                        builder(guest)
                                .device(machine ->
                                        machine.ports()
                                                .add(
                                                        PORTS,
                                                        new Trigger(() ->
                                                                machine.memory()
                                                                        .writeByte(
                                                                                0x2000, 0x77)))));

        assertEquals(new VmOutcome.DebugExit(0x77), outcome);
    }

    @Test
    void deviceInterruptsTheGuest() throws Exception {
        DeviceFactory factory =
                machine -> {
                    InterruptLine line = machine.interruptLine(5);
                    machine.ports().add(PORTS, new Trigger(line::pulse));
                };

        assertEquals(
                new VmOutcome.DebugExit(0x55),
                run(builder(Guests.waitsForInterrupt5()).device(factory)));
    }

    @Test
    void deviceInterruptsTheGuestFromTheEventLoop() throws Exception {
        DeviceFactory factory =
                machine -> {
                    InterruptLine line = machine.interruptLine(5);
                    var loop = machine.eventLoop();
                    machine.ports().add(PORTS, new Trigger(() -> loop.execute(line::pulse)));
                };

        assertEquals(
                new VmOutcome.DebugExit(0x55),
                run(builder(Guests.waitsForInterrupt5()).device(factory)));
    }

    @Test
    void deviceEndsTheMachine() throws Exception {
        DeviceFactory factory =
                machine ->
                        machine.ports()
                                .add(
                                        PORTS,
                                        new Trigger(() -> machine.end(new VmOutcome.Rebooted())));

        assertEquals(
                new VmOutcome.Rebooted(),
                run(builder(Guests.waitsForInterrupt5()).device(factory)));
    }

    @Test
    void guestFaultOfADeviceIsTheGuestsOwn() throws Exception {
        BootSource guest =
                Guests.real16(
                        0xba, 0x00, 0x05, // mov dx, 0x500
                        0xee, // out dx, al
                        0xb0, 0x21, // mov al, 0x21
                        0xe6, 0xf4, // out 0xf4, al
                        0xf4); // hlt
        DeviceFactory factory =
                machine ->
                        machine.ports()
                                .add(
                                        PORTS,
                                        new Trigger(() -> {
                                            throw new GuestFault("not like that");
                                        }));

        assertEquals(new VmOutcome.DebugExit(0x21), run(builder(guest).device(factory)));
    }

    static List<Throwable> bugs() {
        return List.of(new UnsupportedOperationException("a bug"), new AssertionError("a bug"));
    }

    @ParameterizedTest
    @MethodSource("bugs")
    void bugOfADeviceIsTheCauseOfWhatAwaitExitThrows(Throwable bug) throws Exception {
        Host.Resources before = Host.Resources.now();
        DeviceFactory factory =
                machine -> machine.ports().add(PORTS, new Trigger(() -> rethrow(bug)));
        try (Vm vm = builder(Guests.waitsForInterrupt5()).cpus(2).device(factory).build()) {
            vm.start();

            var first = assertThrows(IllegalStateException.class, () -> vm.awaitExit(Host.LIMIT));
            var second = assertThrows(IllegalStateException.class, vm::awaitExit);

            assertSame(bug, first.getCause());
            assertSame(bug, second.getCause());
            assertEquals(Optional.empty(), vm.outcome());
            vm.stop();
        }
        before.awaitAgain();
    }

    private static void rethrow(Throwable bug) {
        switch (bug) {
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            default -> throw new AssertionError(bug);
        }
    }

    @Test
    void resourcesOfDevicesCloseInReverseOrderAfterTheThreads() throws Exception {
        var closed = new CopyOnWriteArrayList<String>();
        DeviceFactory factory =
                machine -> {
                    machine.eventLoop();
                    machine.onClose(() -> closed.add("first " + busyThreads()));
                    machine.onClose(() -> closed.add("second " + busyThreads()));
                };
        Vm vm = builder(Guests.spins()).device(factory).build();
        vm.start();
        assertEquals(List.of("event-loop", "vcpu-0"), busyThreads());

        vm.close();

        assertEquals(List.of("second []", "first []"), closed);
    }

    private static List<String> busyThreads() {
        return Host.threadNames().stream().filter(name -> !name.equals("serial0-out")).toList();
    }

    @Test
    void devicesAreAttachedInTheOrderOfTheBuilder() throws Exception {
        var order = new CopyOnWriteArrayList<Integer>();
        try (Vm vm =
                builder(Guests.spins())
                        .device(_ -> order.add(1))
                        .device(_ -> order.add(2))
                        .build()) {
            assertEquals(Optional.empty(), vm.outcome());
        }

        assertEquals(List.of(1, 2), order);
    }

    @Test
    void eventLoopIsOneForAllDevices() throws Exception {
        var loops = new CopyOnWriteArrayList<Object>();
        try (Vm vm =
                builder(Guests.spins())
                        .device(machine -> loops.add(machine.eventLoop()))
                        .device(machine -> loops.add(machine.eventLoop()))
                        .build()) {
            assertEquals(Optional.empty(), vm.outcome());
        }

        assertEquals(2, loops.size());
        assertSame(loops.get(0), loops.get(1));
    }
}
