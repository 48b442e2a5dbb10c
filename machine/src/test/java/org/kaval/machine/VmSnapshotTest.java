package org.kaval.machine;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Device;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateFields;
import org.kaval.devices.platform.VmGeneration;
import org.kaval.kvm.CpuidEntry;
import org.kaval.kvm.KvmMsr;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVcpuState;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.snapshot.Snapshot;
import org.kaval.machine.snapshot.SnapshotException;
import org.kaval.memory.GuestRange;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// Snapshots of small guests, and what becomes of them.
@NeedsKvm
@NeedsFiles("src/test/snapshots")
class VmSnapshotTest {
    private static final long MEMORY = 16 << 20;

    /// What goes on by itself, or is of the moment: time-stamp counter, Hyper-V's clocks; the rest
    /// of the state is equal.
    private static final Set<String> MOVING =
            Set.of(
                    "0x10",
                    "0x40000010",
                    "0x40000020",
                    "CLOCK",
                    "realtimeNanos",
                    "ageNanos",
                    "seenSecond",
                    "seenNano",
                    "flags");

    private static final int LSTAR = 0xc000_0082;
    private static final int STAR = 0xc000_0081;
    private static final int KERNEL_GS_BASE = 0xc000_0102;

    // Intel SDM vol. 1 §13.4
    private static final int XMM0 = 160;
    private static final int XMM_SIZE = 16 * 16;
    private static final int XSTATE_BV = 512;
    private static final long X87_AND_SSE = 0b11;
    private static final int XSAVE_LEAF = 0xd;
    private static final Set<Integer> VECTORS = Set.of(2, 5, 6, 7);

    // Intel SDM vol. 3A, table 12-1
    private static final int APIC_SPURIOUS = 0xf0;
    private static final int APIC_TIMER_VECTOR = 0x320;
    private static final int APIC_TIMER_START = 0x380;
    private static final int APIC_TIMER_NOW = 0x390;
    private static final int APIC_TIMER_DIVIDE = 0x3e0;

    @TempDir private Path folder;

    private Path at(String name) {
        return folder.resolve(name);
    }

    private static VmBuilder counting() {
        return Vm.builder().memory(MEMORY).boot(Guests.counts());
    }

    private static long counter(Vm vm) {
        return vm.memory().readLe64(Guests.COUNTER);
    }

    private static void awaitMore(Vm vm, long than) throws Exception {
        Host.until("the guest counts on from " + than, () -> counter(vm) > than);
    }

    @Test
    void guestGoesOnWhereItWasAndSoDoTheClones() throws Exception {
        Path snapshot = at("snapshot");
        try (Vm vm = counting().build()) {
            vm.start();
            awaitMore(vm, 1000);

            vm.snapshot(snapshot);

            long then = counter(vm);
            awaitMore(vm, then);
            try (Vm first = Vm.restore(snapshot);
                    Vm second = Vm.restore(snapshot)) {
                long saved = counter(first);
                assertEquals(saved, counter(second));
                assertTrue(saved >= 1000 && saved <= then, saved + " of " + then);
                first.start();
                awaitMore(first, saved + 100);
                assertEquals(saved, counter(second), "it has not begun, and is another");
                second.start();
                awaitMore(second, saved + 100);
            }
        }
    }

    @Test
    void eachCloneHasAGenerationOfItsOwn() throws Exception {
        try (Vm vm = counting().build()) {
            vm.snapshot(at("snapshot"));
            try (Vm first = Vm.restore(at("snapshot"));
                    Vm second = Vm.restore(at("snapshot"))) {
                assertEquals(
                        3, Set.of(generation(vm), generation(first), generation(second)).size());
            }
        }
    }

    private static String generation(Vm vm) {
        byte[] id = new byte[16];
        vm.memory().read(VmGeneration.AREA.base(), id);
        return HexFormat.of().formatHex(id);
    }

    @Test
    void pausedMachineStaysPausedAndAStoppedOneIsRefused() throws Exception {
        try (Vm vm = counting().build()) {
            vm.start();
            awaitMore(vm, 0);
            vm.pause();
            long paused = counter(vm);

            vm.snapshot(at("snapshot"), Map.of("answer", "42"));

            assertTrue(vm.isPaused());
            assertEquals(paused, counter(vm));
            assertEquals(Map.of("answer", "42"), Snapshot.read(at("snapshot")).attributes());
            vm.resume();
            awaitMore(vm, paused);
            vm.stop();
            assertThrows(IllegalStateException.class, () -> vm.snapshot(at("other")));
            assertFalse(Files.exists(at("other")));
        }
    }

    /// A snapshot of a snapshot that has not run differs from it in nothing but the time and the
    /// generation.
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void everythingThatAGuestSeesIsEqualAfterRestore(long seed) throws Exception {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        var machines = new ArrayList<MachineContext>();
        try (Vm vm = counting().cpus(2).device(machines::add).build()) {
            for (var vcpu : vm.vcpus()) {
                vcpu.call(kvm -> fill(kvm, random));
            }
            fillMemory(vm, random);
            fillDevices(machines.getFirst(), random);
            vm.snapshot(at("first"));
        }
        try (Vm vm = Vm.restore(at("first"))) {
            vm.snapshot(at("second"));
        }

        Snapshot first = Snapshot.read(at("first"));
        Snapshot second = Snapshot.read(at("second"));
        assertEquals("", differences(still(first), still(second)), "seed " + seed);
        assertEquals(first.cpu(), second.cpu());
        assertArrayEquals(stillMemory(at("first")), stillMemory(at("second")));
        first.checkMemory();
    }

    /// Without the generation, which a restored machine has of its own.
    private static byte[] stillMemory(Path snapshot) throws IOException {
        byte[] bytes = Files.readAllBytes(memory(snapshot));
        int generation = (int) VmGeneration.AREA.base();
        Arrays.fill(bytes, generation, generation + 16, (byte) 0);
        return bytes;
    }

    private static String differences(Map<String, String> one, Map<String, String> other) {
        var names = new TreeSet<String>(one.keySet());
        names.addAll(other.keySet());
        names.removeIf(name -> Objects.equals(one.get(name), other.get(name)));
        return names.stream()
                .map(name -> "%s: %s, %s%n".formatted(name, one.get(name), other.get(name)))
                .collect(Collectors.joining());
    }

    private static Path memory(Path snapshot) throws IOException {
        try (Stream<Path> files = Files.list(snapshot)) {
            return files.filter(file -> file.getFileName().toString().startsWith("memory-"))
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static boolean fill(KvmVcpu vcpu, RandomGenerator random) throws IOException {
        byte[] regs = vcpu.getState(KvmVcpuState.REGS);
        byte[] general = new byte[16 * Long.BYTES]; // what follows are RIP and RFLAGS
        random.nextBytes(general);
        System.arraycopy(general, 0, regs, 0, general.length);
        vcpu.setState(KvmVcpuState.REGS, regs);
        vcpu.setMsrs(
                List.of(
                        new KvmMsr(STAR, random.nextLong()),
                        new KvmMsr(LSTAR, random.nextLong() >> 17),
                        new KvmMsr(KERNEL_GS_BASE, random.nextLong() >> 17)));
        byte[] xsave = vcpu.getXsave(0);
        byte[] xmm = new byte[XMM_SIZE];
        random.nextBytes(xmm);
        System.arraycopy(xmm, 0, xsave, XMM0, xmm.length);
        ByteBuffer header = littleEndian(xsave);
        header.putLong(
                XSTATE_BV,
                header.getLong(XSTATE_BV) | X87_AND_SSE | fillVectors(vcpu, xsave, random));
        vcpu.setXsave(0, xsave);
        byte[] debug = vcpu.getState(KvmVcpuState.DEBUGREGS);
        littleEndian(debug).putLong(0, random.nextLong() >>> 17);
        vcpu.setState(KvmVcpuState.DEBUGREGS, debug);
        byte[] apic = vcpu.getState(KvmVcpuState.LAPIC);
        littleEndian(apic)
                .putInt(APIC_SPURIOUS, 0x1ff)
                .putInt(APIC_TIMER_VECTOR, 0x1_0000 | random.nextInt(0x20, 0x100))
                .putInt(APIC_TIMER_DIVIDE, 0xa)
                .putInt(APIC_TIMER_START, Integer.MAX_VALUE)
                .putInt(APIC_TIMER_NOW, random.nextInt(1 << 30, Integer.MAX_VALUE));
        vcpu.setState(KvmVcpuState.LAPIC, apic);
        return true;
    }

    /// The upper halves of YMM and ZMM registers, ZMM16 to 31, and masks, as far as there are any.
    ///
    /// @return these components (Intel SDM vol. 1 §13.1)
    private static long fillVectors(KvmVcpu vcpu, byte[] xsave, RandomGenerator random)
            throws IOException {
        long filled = 0;
        for (CpuidEntry component : vcpu.getCpuid()) {
            int number = component.index();
            if (component.function() == XSAVE_LEAF && VECTORS.contains(number)) {
                byte[] bytes = new byte[component.eax()];
                random.nextBytes(bytes);
                System.arraycopy(bytes, 0, xsave, component.ebx(), bytes.length);
                filled |= bytes.length == 0 ? 0 : 1L << number;
            }
        }
        return filled;
    }

    private static void fillMemory(Vm vm, RandomGenerator random) {
        byte[] bytes = new byte[5000];
        for (int i = 0; i < 20; i++) {
            random.nextBytes(bytes);
            vm.memory().write(random.nextLong(0x10_0000, MEMORY - bytes.length), bytes);
        }
    }

    /// The serial port but for its interrupts, which are repeated, the clock's memory, the PCI
    /// configuration address and port 0x80.
    private static void fillDevices(MachineContext machine, RandomGenerator random) {
        for (int i = 0; i < 50; i++) {
            machine.ports().write(0x3fa + random.nextInt(6), 1, random.nextInt(256));
            machine.ports().write(0x70, 1, random.nextInt(0x40, 0x80));
            machine.ports().write(0x71, 1, random.nextInt(256));
            machine.ports().write(0xcf8, 4, random.nextInt());
            machine.ports().write(0x80, 1, random.nextInt(256));
        }
    }

    /// A snapshot's state as text, without what moves.
    private static Map<String, String> still(Snapshot snapshot) {
        var text = new TreeMap<String, String>();
        flatten("", snapshot.state(), text);
        return text;
    }

    private static void flatten(String path, Map<?, ?> tree, Map<String, String> into) {
        tree.forEach((key, value) -> {
            String name = path + key;
            switch (value) {
                case Map<?, ?> inner -> flatten(name + ".", inner, into);
                case Object _ when MOVING.contains(String.valueOf(key)) -> {}
                case byte[] bytes -> into.put(name, HexFormat.of().formatHex(still(name, bytes)));
                default -> into.put(name, value.toString());
            }
        });
    }

    /// When the 8254's channels were loaded, and the APIC timer's count, go on.
    private static byte[] still(String name, byte[] bytes) {
        byte[] still = bytes.clone();
        ByteBuffer copy = littleEndian(still);
        if (name.endsWith("PIT")) {
            for (int channel = 0; channel < 3; channel++) {
                copy.putLong(24 * channel + 16, 0);
            }
        } else if (name.endsWith("LAPIC")) {
            copy.putInt(APIC_TIMER_NOW, 0);
        }
        return still;
    }

    private static ByteBuffer littleEndian(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    // @formatter:off

    /// Starts the 8254's channel 0 for 50 ms, says so at port 0x500, and waits. Ends with 0x33 when the
    /// interrupt comes.
    private static FlatPayload waitsForTimer() {
        return Guests.real16(
                0x31, 0xc0,                         // xor ax, ax
                0x8e, 0xd8,                         // mov ds, ax
                0xc7, 0x06, 0x80, 0x00, 0x36, 0x7c, // mov word [0x20*4], handler
                0xa3, 0x82, 0x00,                   // mov [0x20*4+2], ax
                0xb0, 0x11,                         // mov al, 0x11: ICW1
                0xe6, 0x20,                         // out 0x20, al
                0xb0, 0x20,                         // mov al, 0x20: ICW2
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x04,                         // mov al, 0x04: ICW3
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x01,                         // mov al, 0x01: ICW4
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0xfe,                         // mov al, 0xfe: all but 0 are masked
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x30,                         // mov al, 0x30: channel 0, mode 0
                0xe6, 0x43,                         // out 0x43, al
                0x30, 0xc0,                         // xor al, al
                0xe6, 0x40,                         // out 0x40, al
                0xb0, 0xe9,                         // mov al, 0xe9
                0xe6, 0x40,                         // out 0x40, al
                0xba, 0x00, 0x05,                   // mov dx, 0x500
                0xee,                               // out dx, al
                0xfb,                               // sti
                0xf4,                               // wait: hlt
                0xeb, 0xfd,                         // jmp wait
                0x90,                               // nop
                0xb0, 0x33,                         // handler: mov al, 0x33
                0xe6, 0xf4,                         // out 0xf4, al
                0xf4);                              // hlt
    }

    // @formatter:on

    /// Counts what the guest writes to port 0x500.
    private static final class Marker implements Device, Persistent {
        private final AtomicInteger writes = new AtomicInteger();
        private volatile Runnable onWrite = () -> {};

        @Override
        public long read(long offset, int size) {
            return writes.get();
        }

        @Override
        public void write(long offset, int size, long value) {
            onWrite.run();
            writes.incrementAndGet();
        }

        @Override
        public void persist(StateFields state) {
            writes.set(state.number("writes", writes.get(), 0, 1000));
        }

        DeviceFactory factory() {
            return machine -> {
                machine.ports().add(new GuestRange(0x500, 1), this);
                machine.persist("marker", this);
            };
        }
    }

    @Test
    void timerThatRanWhenTheSnapshotWasMadeExpires() throws Exception {
        var marker = new Marker();
        try (Vm vm =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(waitsForTimer())
                        .device(marker.factory())
                        .build()) {
            marker.onWrite = vm.vcpus().getFirst()::requestPause; // the timer may be fast
            vm.start();
            Host.until("it waits", () -> marker.writes.get() == 1);
            vm.pause();
            vm.snapshot(at("snapshot"));
        }
        var restored = new Marker();

        try (Vm vm = Vm.builder().device(restored.factory()).restore(at("snapshot"))) {
            assertEquals(1, restored.writes.get(), "the device's own state");
            vm.start();

            assertEquals(new VmOutcome.DebugExit(0x33), vm.awaitExit(Host.LIMIT));
        }
    }

    /// It is told of each byte by an interrupt, which must neither be lost nor come for nothing.
    @Test
    void serialOutputGoesOnWithoutALossWhereverTheSnapshotIsMade() throws Exception {
        String text = "the quick brown fox jumps over the lazy dog ".repeat(200);
        var before = new ByteArrayOutputStream();
        var after = new ByteArrayOutputStream();
        try (Vm vm =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(Guests.sendsByInterrupt(text))
                        .serialOutput(before)
                        .build()) {
            vm.start();
            Host.until("it sends", () -> before.size() > 10);
            vm.pause();
            vm.snapshot(at("snapshot"));
            vm.stop();
        }

        try (Vm vm = Vm.builder().serialOutput(after).restore(at("snapshot"))) {
            vm.start();

            assertEquals(new VmOutcome.DebugExit(7), vm.awaitExit(Host.LIMIT));
        }
        assertEquals(text, before.toString(US_ASCII) + after.toString(US_ASCII));
    }

    @Test
    void inputThatTheGuestHasNotReadIsStillThere() throws Exception {
        try (Vm vm = counting().build()) {
            vm.start();
            vm.typeSerial(new byte[] {0x21, 0x22});
            vm.snapshot(at("snapshot"));
        }
        var machines = new ArrayList<MachineContext>();

        try (Vm vm = Vm.builder().device(machines::add).restore(at("snapshot"))) {
            assertEquals(0x21, machines.getFirst().ports().read(0x3f8, 1));
            assertEquals(0x22, machines.getFirst().ports().read(0x3f8, 1));
            assertFalse(vm.isPaused());
        }
    }

    @Test
    void machineWithOtherDevicesIsRefused() throws Exception {
        try (Vm vm = counting().device(new Marker().factory()).build()) {
            vm.snapshot(at("snapshot"));
        }

        var refusal =
                assertThrows(SnapshotException.class, () -> Vm.restore(at("snapshot")).close());

        String message = String.valueOf(refusal.getMessage());
        assertTrue(message.contains("generation, marker, and this one has"), message);
    }

    @Test
    void timeGoesOnAsTheHostsDoes() throws Exception {
        try (Vm vm = counting().build()) {
            vm.snapshot(at("snapshot"));
        }
        Map<String, Object> saved = Snapshot.read(at("snapshot")).state();

        try (Vm vm = Vm.restore(at("snapshot"))) {
            vm.snapshot(at("later"));
        }

        Map<String, Object> later = Snapshot.read(at("later")).state();
        long real = number(later, "realtimeNanos") - number(saved, "realtimeNanos");
        long guest = clock(later) - clock(saved);
        long second = 1_000_000_000L;
        assertTrue(guest > 0, "kvm-clock: " + guest);
        assertTrue(Math.abs(real - guest) < second, real + " ns, kvm-clock " + guest);
        assertNotEquals(0, real);
    }

    /// It was made by the first version that made any, of a guest that spins on a host of the PVM
    /// kind, and it cannot run on a host with less. Whatever devices it knows of they still know.
    @Test
    void snapshotOfTheFirstFormatIsStillUnderstood() throws Exception {
        Path old =
                Path.of(System.getProperty("basedir", "")).resolve("src/test/snapshots/format-1");
        Snapshot first = Snapshot.read(old);
        first.checkMemory();
        try (Vm vm = counting().build()) {
            vm.snapshot(at("now"));
        }

        Set<String> fields = new TreeSet<>(paths(first));
        fields.removeAll(paths(Snapshot.read(at("now"))));

        assertEquals(Set.of(), fields, "fields that nobody would restore");
        assertEquals(Map.of("made", "with format 1"), first.attributes());
        assertEquals(List.of(new GuestRange(0, 1 << 20)), first.memory());
    }

    /// All fields but MSRs, which are the host's.
    private static Set<String> paths(Snapshot snapshot) {
        var text = new TreeMap<String, String>();
        flatten("", snapshot.state(), text);
        text.keySet().removeIf(name -> name.contains(".MSRS."));
        return text.keySet();
    }

    private static Map<?, ?> vm(Map<String, Object> state) {
        return (Map<?, ?>) state.getOrDefault("vm", Map.of());
    }

    private static long number(Map<String, Object> state, String name) {
        return vm(state).get(name) instanceof Long number ? number : 0;
    }

    private static long clock(Map<String, Object> state) {
        return vm(state).get("CLOCK") instanceof byte[] bytes ? littleEndian(bytes).getLong(0) : 0;
    }
}
