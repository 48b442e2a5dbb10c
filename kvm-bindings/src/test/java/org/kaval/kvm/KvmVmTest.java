package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kaval.kvm.KvmVm.Doorbell;
import org.kaval.kvm.KvmVm.Doorbell.AddressSpace;
import org.kaval.kvm.KvmVm.InterruptRoute;
import org.kaval.kvm.abi.KvmAbi;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.linux.Host;
import org.kaval.linux.Mmap;
import org.kaval.testing.NeedsKvm;

/// One machine per test, without memory. Needs KVM, any kind.
@NeedsKvm
class KvmVmTest {
    private static final int LINE = 5;

    /// `struct kvm_irqchip` is chip_id and pad, then `struct kvm_pic_state`: last_irr, irr, ….
    private static final int PIC_IRR = 8 + 1;

    /// `struct kvm_pit_state2` begins with three `struct kvm_pit_channel_state` of 24 bytes: count
    /// (4), latched_count (2), …, and from 16 on count_load_time, which is when it was written.
    private static final int LATCHED_COUNT = 4;

    /// Of `struct kvm_clock_data`.
    private static final int CLOCK_FLAGS = 8;

    private static final int CLOCK_REALTIME = 16;

    private static final long HOUR = TimeUnit.HOURS.toNanos(1);

    private @Nullable KvmVm created;

    @BeforeEach
    void open() throws Exception {
        try (Kvm kvm = Kvm.open()) {
            created = kvm.createVm();
        }
    }

    @AfterEach
    void close() {
        if (created != null) {
            created.close();
        }
    }

    private KvmVm vm() {
        return Objects.requireNonNull(created);
    }

    // --- memory ---

    @Test
    void memoryAtUnalignedAddressIsRefused() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.anonymous(arena, Mmap.PAGE_SIZE);
            var refused =
                    assertThrows(
                            ErrnoException.class,
                            () -> vm().setUserMemoryRegion(0, 0, 0x800, memory));
            assertEquals("KVM_SET_USER_MEMORY_REGION on KVM VM: EINVAL", refused.getMessage());
        }
    }

    @Test
    void overlappingMemoryIsRefused() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.anonymous(arena, 2 * Mmap.PAGE_SIZE);
            vm().setUserMemoryRegion(0, 0, 0, memory);
            var refused =
                    assertThrows(
                            ErrnoException.class,
                            () -> vm().setUserMemoryRegion(1, 0, Mmap.PAGE_SIZE, memory));
            assertEquals(Errno.EEXIST, refused.errno());
            vm().close(); // before the memory
        }
    }

    @Test
    void slotCanBeRemovedAndUsedAgain() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.anonymous(arena, Mmap.PAGE_SIZE);
            vm().setUserMemoryRegion(0, 0, 0, memory);
            vm().setUserMemoryRegion(0, 0, 0, memory.asSlice(0, 0));
            vm().setUserMemoryRegion(0, 0, Mmap.PAGE_SIZE, memory);
            vm().close(); // before the memory
        }
    }

    @Test
    void slotBeyondTheLimitIsRefused() throws Exception {
        int limit = vm().check(Capability.NR_MEMSLOTS);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.anonymous(arena, Mmap.PAGE_SIZE);
            var refused =
                    assertThrows(
                            ErrnoException.class,
                            () -> vm().setUserMemoryRegion(limit, 0, 0, memory));
            assertEquals(Errno.EINVAL, refused.errno());
        }
    }

    @Test
    void dirtyLogOfAnUntouchedSlotIsEmpty() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = Mmap.anonymous(arena, 64 * Mmap.PAGE_SIZE);
            vm().setUserMemoryRegion(0, KvmVm.LOG_DIRTY_PAGES, 0, memory);
            MemorySegment bitmap = arena.allocateFrom(JAVA_LONG, -1);
            vm().getDirtyLog(0, bitmap);
            assertEquals(0, bitmap.get(JAVA_LONG, 0));
            vm().close(); // before the memory
        }
    }

    @Test
    void dirtyLogOfUnloggedSlotIsRefused() {
        var refused =
                assertThrows(
                        ErrnoException.class,
                        () -> vm().getDirtyLog(3, Arena.ofAuto().allocate(JAVA_LONG)));
        assertEquals("KVM_GET_DIRTY_LOG on KVM VM: ENOENT", refused.getMessage());
    }

    @Test
    void addressesForVtxAreTaken() throws Exception {
        vm().setIdentityMapAddress(0xfeff_b000L);
        vm().setTssAddress(0xfeff_c000L);
        vm().createVcpu(0);
        var late =
                assertThrows(ErrnoException.class, () -> vm().setIdentityMapAddress(0xfeff_b000L));
        assertEquals("KVM_SET_IDENTITY_MAP_ADDR on KVM VM: EINVAL", late.getMessage());
    }

    // --- interrupts ---

    @Test
    void secondIrqchipIsRefused() throws Exception {
        vm().createIrqchip();
        var refused = assertThrows(ErrnoException.class, () -> vm().createIrqchip());
        assertEquals("KVM_CREATE_IRQCHIP on KVM VM: EEXIST", refused.getMessage());
    }

    @Test
    void timerIsThereOnce() throws Exception {
        vm().createIrqchip();
        vm().createPit();
        assertEquals(
                "KVM_CREATE_PIT2 on KVM VM: EEXIST",
                assertThrows(ErrnoException.class, () -> vm().createPit()).getMessage());
    }

    @Test
    void lineReachesTheInterruptController() throws Exception {
        vm().createIrqchip();
        vm().createVcpu(0);
        assertEquals(0, pendingInPic());
        vm().setIrqLine(LINE, true);
        assertEquals(1 << LINE, pendingInPic());
        vm().setIrqLine(LINE, false);
    }

    @Test
    void lineNeedsTheIrqchip() {
        var refused = assertThrows(ErrnoException.class, () -> vm().setIrqLine(LINE, true));
        assertEquals("KVM_IRQ_LINE on KVM VM: ENXIO", refused.getMessage());
    }

    @Test
    void irqfdSignalIsAnInterrupt() throws Exception {
        vm().createIrqchip();
        vm().createVcpu(0);
        try (EventFd event = EventFd.create("interrupt")) {
            vm().assignIrqfd(event, LINE);
            assertEquals(0, pendingInPic());
            event.signal();
            Host.until("interrupt is pending", () -> pendingInPic() == 1 << LINE);
            assertEquals(0, event.drain()); // KVM has taken it
        }
    }

    @Test
    void routeSaysWhereASignalGoes() throws Exception {
        vm().createIrqchip();
        vm().createVcpu(0);
        try (EventFd event = EventFd.create("interrupt")) {
            vm().assignIrqfd(event, 30); // which leads nowhere yet

            vm().setInterruptRoutes(List.of(new InterruptRoute.Pin(30, 0, 3)));
            event.signal();

            Host.until("interrupt is pending", () -> pendingInPic() == 1 << 3);
        }
    }

    @Test
    void messageReachesTheLocalApic() throws Exception {
        vm().createIrqchip();
        KvmVcpu vcpu = vm().createVcpu(0);
        byte[] apic = vcpu.getState(KvmVcpuState.LAPIC);
        apic[0xf1] |= 1; // spurious-interrupt register, bit 8: enabled (Intel SDM 3A, 12.9)
        vcpu.setState(KvmVcpuState.LAPIC, apic);
        try (EventFd event = EventFd.create("message")) {
            vm().setInterruptRoutes(
                            List.of(
                                    new InterruptRoute.Pin(5, 0, 5),
                                    new InterruptRoute.Message(24, 0xfee0_0000L, 0x45)));
            vm().assignIrqfd(event, 24);
            event.signal();

            // the request register has 32 bits every 16 bytes from 0x200 on
            Host.until(
                    "message is pending", () -> vcpu.getState(KvmVcpuState.LAPIC)[0x220] == 1 << 5);
        }
    }

    @Test
    void routeToNoControllerIsRefused() throws Exception {
        vm().createIrqchip();
        var refused =
                assertThrows(
                        ErrnoException.class,
                        () -> vm().setInterruptRoutes(List.of(new InterruptRoute.Pin(5, 9, 5))));
        assertEquals("KVM_SET_GSI_ROUTING on KVM VM: EINVAL", refused.getMessage());
    }

    @Test
    void irqfdCanBeAssignedOnce() throws Exception {
        vm().createIrqchip();
        try (EventFd event = EventFd.create("interrupt")) {
            vm().assignIrqfd(event, LINE);
            var refused =
                    assertThrows(ErrnoException.class, () -> vm().assignIrqfd(event, LINE + 1));
            assertEquals("KVM_IRQFD on KVM VM: EBUSY", refused.getMessage());
        }
    }

    @Test
    void ioeventfdCanBeAssignedOnce() throws Exception {
        try (EventFd event = EventFd.create("doorbell");
                EventFd other = EventFd.create("other doorbell")) {
            vm().assignIoeventfd(
                            event,
                            new Doorbell(AddressSpace.MMIO, 0xd000_0000L, 4, OptionalLong.empty()));
            var refused =
                    assertThrows(
                            ErrnoException.class,
                            () ->
                                    vm().assignIoeventfd(
                                                    other,
                                                    new Doorbell(
                                                            AddressSpace.MMIO,
                                                            0xd000_0000L,
                                                            4,
                                                            OptionalLong.empty())));
            assertEquals("KVM_IOEVENTFD on KVM VM: EEXIST", refused.getMessage());
        }
    }

    @Test
    void ioeventfdCanBeAssignedAgainOnceItIsUnassigned() throws Exception {
        var doorbell = new Doorbell(AddressSpace.MMIO, 0xd000_0000L, 4, OptionalLong.empty());
        try (EventFd first = EventFd.create("doorbell");
                EventFd second = EventFd.create("other doorbell")) {
            vm().assignIoeventfd(first, doorbell);
            vm().unassignIoeventfd(first, doorbell);
            vm().assignIoeventfd(second, doorbell);
        }
    }

    @Test
    void irqfdCanBeAssignedAgainOnceItIsUnassigned() throws Exception {
        vm().createIrqchip();
        try (EventFd event = EventFd.create("interrupt")) {
            vm().assignIrqfd(event, 5);
            vm().unassignIrqfd(event, 5);
            vm().assignIrqfd(event, 5);
        }
    }

    @Test
    void ioeventfdsOfOneAddressDifferInValueSpaceOrAddress() throws Exception {
        try (EventFd event = EventFd.create("doorbell")) {
            vm().assignIoeventfd(
                            event, new Doorbell(AddressSpace.MMIO, 0x500, 2, OptionalLong.of(0)));
            vm().assignIoeventfd(
                            event, new Doorbell(AddressSpace.MMIO, 0x500, 2, OptionalLong.of(1)));
            vm().assignIoeventfd(
                            event, new Doorbell(AddressSpace.PIO, 0x500, 2, OptionalLong.of(0)));
            vm().assignIoeventfd(
                            event, new Doorbell(AddressSpace.MMIO, 0x502, 2, OptionalLong.of(0)));
        }
    }

    @Test
    void ioeventfdOfOddLengthIsRefused() throws Exception {
        try (EventFd event = EventFd.create("doorbell")) {
            var refused =
                    assertThrows(
                            ErrnoException.class,
                            () ->
                                    vm().assignIoeventfd(
                                                    event,
                                                    new Doorbell(
                                                            AddressSpace.PIO,
                                                            0x500,
                                                            3,
                                                            OptionalLong.empty())));
            assertEquals("KVM_IOEVENTFD on KVM VM: EINVAL", refused.getMessage());
        }
    }

    // --- vCPUs ---

    @Test
    void vcpuIndexIsThereOnce() throws Exception {
        vm().createVcpu(0);
        vm().createVcpu(1);
        var refused = assertThrows(ErrnoException.class, () -> vm().createVcpu(1));
        assertEquals("KVM_CREATE_VCPU on KVM VM: EEXIST", refused.getMessage());
    }

    @Test
    void vcpuIndexBeyondTheLimitIsRefused() {
        var refused = assertThrows(ErrnoException.class, () -> vm().createVcpu(1 << 20));
        assertEquals("KVM_CREATE_VCPU on KVM VM: EINVAL", refused.getMessage());
    }

    // --- state ---

    @ParameterizedTest
    @EnumSource(
            mode = EnumSource.Mode.EXCLUDE,
            names = {"CLOCK", "PIT"})
    void stateComesBackAsItWasWritten(KvmVmState part) throws Exception {
        vm().createIrqchip();
        vm().createPit();
        vm().setIrqLine(LINE, true); // something that is not the state after reset
        byte[] before = vm().getState(part);
        vm().setState(part, before);
        assertArrayEquals(before, vm().getState(part));
    }

    @Test
    void timerComesBackAsItWasWritten() throws Exception {
        vm().createIrqchip();
        vm().createPit();
        byte[] before = vm().getState(KvmVmState.PIT);
        before[LATCHED_COUNT] = 0x42;
        vm().setState(KvmVmState.PIT, before);
        byte[] after = vm().getState(KvmVmState.PIT);
        assertArrayEquals(withoutLoadTimes(before), withoutLoadTimes(after));
    }

    @Test
    void partsOfTheIrqchipAreDifferentOnes() throws Exception {
        vm().createIrqchip();
        assertEquals(
                List.of(0, 1, 2),
                List.of(
                        firstWord(vm().getState(KvmVmState.PIC_MASTER)),
                        firstWord(vm().getState(KvmVmState.PIC_SLAVE)),
                        firstWord(vm().getState(KvmVmState.IOAPIC))));
    }

    @Test
    void clockGoesOnFromWhatWasWritten() throws Exception {
        byte[] clock = vm().getState(KvmVmState.CLOCK);
        long hour = 3_600_000_000_000L;
        ByteBuffer fields = ByteBuffer.wrap(clock).order(ByteOrder.LITTLE_ENDIAN);
        fields.putLong(0, fields.getLong(0) + hour); // clock, in nanoseconds
        vm().setState(KvmVmState.CLOCK, clock);
        long after = Long.reverseBytes(ByteBuffer.wrap(vm().getState(KvmVmState.CLOCK)).getLong());
        assertTrue(after >= fields.getLong(0));
        assertTrue(after < fields.getLong(0) + hour);
    }

    @Test
    void clockGoesOnAsIfItHadNotStoodStill() throws Exception {
        assertHourIsAdded(vm()::setClock);
    }

    @Test
    void clockGoesOnAsIfItHadNotStoodStillWhereTheKernelDoesNotAddIt() throws Exception {
        assertHourIsAdded((clock, realtime) ->
                vm().setState(KvmVmState.CLOCK, KvmVmState.clockSince(clock, realtime, false)));
    }

    private interface ClockSetting {
        void set(byte[] clock, long realtime) throws ErrnoException;
    }

    private void assertHourIsAdded(ClockSetting setting) throws Exception {
        byte[] clock = vm().getState(KvmVmState.CLOCK);
        ByteBuffer.wrap(clock).order(ByteOrder.LITTLE_ENDIAN).putInt(CLOCK_FLAGS, 0);
        long start = realtimeNanos();

        setting.set(clock, start - HOUR);

        assertHourHasPassed(clock, start);
    }

    @Test
    void whenAClockWasReadIsWhatTheKernelSays() throws Exception {
        byte[] clock = vm().getState(KvmVmState.CLOCK);
        long start = realtimeNanos();
        ByteBuffer.wrap(clock)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(CLOCK_FLAGS, KvmAbi.KVM_CLOCK_REALTIME())
                .putLong(CLOCK_REALTIME, start - HOUR);

        vm().setClock(clock, 0);

        assertHourHasPassed(clock, start);
    }

    @Test
    void clockOfTimeToComeGoesOnFromWhereItWas() throws Exception {
        byte[] clock = vm().getState(KvmVmState.CLOCK);
        ByteBuffer.wrap(clock).order(ByteOrder.LITTLE_ENDIAN).putInt(CLOCK_FLAGS, 0);
        long start = realtimeNanos();

        vm().setClock(clock, start + HOUR);

        long passed = nanosOf(vm().getState(KvmVmState.CLOCK)) - nanosOf(clock);
        assertTrue(passed >= 0 && passed <= realtimeNanos() - start, "" + passed);
    }

    /// @param start when it was set, by the real time
    private void assertHourHasPassed(byte[] clock, long start) throws ErrnoException {
        long passed = nanosOf(vm().getState(KvmVmState.CLOCK)) - nanosOf(clock);
        long most = HOUR + realtimeNanos() - start;
        assertTrue(passed >= HOUR && passed <= most, passed + " of " + most);
    }

    private static long nanosOf(byte[] clock) {
        return ByteBuffer.wrap(clock).order(ByteOrder.LITTLE_ENDIAN).getLong();
    }

    private static long realtimeNanos() {
        return ChronoUnit.NANOS.between(Instant.EPOCH, Instant.now());
    }

    @Test
    void stateOfAnotherSizeIsRefused() {
        var refused =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> vm().setState(KvmVmState.CLOCK, new byte[47]));
        assertEquals("CLOCK is 48 bytes, not 47", refused.getMessage());
    }

    @Test
    void stateOfWhatIsNotThereIsRefused() {
        var refused = assertThrows(ErrnoException.class, () -> vm().getState(KvmVmState.IOAPIC));
        assertEquals("KVM_GET_IRQCHIP on KVM VM: ENXIO", refused.getMessage());
    }

    // --- end ---

    @Test
    void closeLeavesNoDescriptorAndNoMapping() throws Exception {
        vm().createIrqchip();
        vm().createVcpu(0);
        vm().createVcpu(1);
        assertEquals(3, kvmDescriptors());
        assertEquals(2, Host.mappings("kvm-vcpu"));
        vm().close();
        assertEquals(0, kvmDescriptors());
        assertEquals(0, Host.mappings("kvm-vcpu"));
    }

    @Test
    void refusedVcpuLeavesNothing() throws Exception {
        vm().createVcpu(0);
        assertThrows(ErrnoException.class, () -> vm().createVcpu(0));
        assertEquals(2, kvmDescriptors());
        assertEquals(1, Host.mappings("kvm-vcpu"));
    }

    @Test
    void closedMachineIsRefused() throws Exception {
        KvmVcpu vcpu = vm().createVcpu(0);
        vm().close();
        vm().close();
        var closed = assertThrows(IllegalStateException.class, () -> vm().createVcpu(1));
        assertEquals("KVM VM is closed", closed.getMessage());
        assertThrows(IllegalStateException.class, vcpu::run);
        assertThrows(IllegalStateException.class, () -> vcpu.runState().exitReason());
    }

    private int pendingInPic() throws ErrnoException {
        return vm().getState(KvmVmState.PIC_MASTER)[PIC_IRR];
    }

    private static byte[] withoutLoadTimes(byte[] pit) {
        byte[] copy = pit.clone();
        Arrays.fill(copy, 16, 24, (byte) 0);
        Arrays.fill(copy, 24 + 16, 24 + 24, (byte) 0);
        Arrays.fill(copy, 48 + 16, 48 + 24, (byte) 0);
        return copy;
    }

    private static int firstWord(byte[] state) {
        return ByteBuffer.wrap(state).order(ByteOrder.LITTLE_ENDIAN).getInt();
    }

    private static long kvmDescriptors() throws Exception {
        return Host.descriptors().stream()
                .filter(target -> target.matches("/dev/kvm|anon_inode:kvm-.*"))
                .count();
    }
}
