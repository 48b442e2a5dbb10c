package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import org.kaval.kvm.abi.kvm_run;

/// What the kernel says about the last exit of a vCPU, and where it takes the answer (`struct
/// kvm_run`). Nothing here allocates.
///
/// Values are little-endian, as the guest's. An accessor means something only after an exit of the
/// kind that its name begins with. They belong to the vCPU's thread; {@link #immediateExit} may be
/// called by any.
public final class KvmRun {
    private static final long IMMEDIATE_EXIT = kvm_run.immediate_exit$offset();
    private static final long EXIT_REASON = kvm_run.exit_reason$offset();

    private static final long IO = kvm_run.io$offset();
    private static final long IO_DIRECTION = IO + kvm_run.io.direction$offset();
    private static final long IO_SIZE = IO + kvm_run.io.size$offset();
    private static final long IO_PORT = IO + kvm_run.io.port$offset();
    private static final long IO_COUNT = IO + kvm_run.io.count$offset();
    private static final long IO_DATA = IO + kvm_run.io.data_offset$offset();

    private static final long MMIO = kvm_run.mmio$offset();
    private static final long MMIO_ADDRESS = MMIO + kvm_run.mmio.phys_addr$offset();
    private static final long MMIO_DATA = MMIO + kvm_run.mmio.data$offset();
    private static final long MMIO_LENGTH = MMIO + kvm_run.mmio.len$offset();
    private static final long MMIO_IS_WRITE = MMIO + kvm_run.mmio.is_write$offset();

    private static final VarHandle BYTE = JAVA_BYTE.varHandle();

    private final MemorySegment run;

    KvmRun(MemorySegment run) {
        this.run = run;
    }

    /// Links what its accessors need.
    static void prepare() {
        try (Arena arena = Arena.ofConfined()) {
            new KvmRun(arena.allocate(kvm_run.layout())).exitReason();
        }
    }

    /// Makes the vCPU's next `KVM_RUN` finish the instruction it has begun and then return at once
    /// (KVM API, `immediate_exit`), until it is taken back. A volatile store; any thread.
    public void immediateExit(boolean on) {
        BYTE.setVolatile(run, IMMEDIATE_EXIT, (byte) (on ? 1 : 0));
    }

    /// Why the guest stopped: one of {@link KvmExit}.
    public int exitReason() {
        return run.get(JAVA_INT, EXIT_REASON);
    }

    /// Whether the guest writes to the port.
    public boolean ioIsOut() {
        return run.get(JAVA_BYTE, IO_DIRECTION) == KvmExit.IO_OUT;
    }

    /// Bytes per element: 1, 2 or 4.
    public int ioSize() {
        return run.get(JAVA_BYTE, IO_SIZE);
    }

    public int ioPort() {
        return Short.toUnsignedInt(run.get(JAVA_SHORT, IO_PORT));
    }

    /// How many elements: more than 1 for string instructions.
    public int ioCount() {
        return run.get(JAVA_INT, IO_COUNT);
    }

    /// What the guest writes as element `index`, unsigned.
    public int ioValue(int index) {
        int size = ioSize();
        long offset = ioOffset(index, size);
        return switch (size) {
            case 1 -> Byte.toUnsignedInt(run.get(JAVA_BYTE, offset));
            case 2 -> Short.toUnsignedInt(run.get(JAVA_SHORT_UNALIGNED, offset));
            default -> run.get(JAVA_INT_UNALIGNED, offset);
        };
    }

    /// Answers what the guest reads as element `index`.
    public void ioAnswer(int index, int value) {
        int size = ioSize();
        long offset = ioOffset(index, size);
        switch (size) {
            case 1 -> run.set(JAVA_BYTE, offset, (byte) value);
            case 2 -> run.set(JAVA_SHORT_UNALIGNED, offset, (short) value);
            default -> run.set(JAVA_INT_UNALIGNED, offset, value);
        }
    }

    /// The guest-physical address.
    public long mmioAddress() {
        return run.get(JAVA_LONG, MMIO_ADDRESS);
    }

    /// Bytes: 1 to 8.
    public int mmioLength() {
        return run.get(JAVA_INT, MMIO_LENGTH);
    }

    public boolean mmioIsWrite() {
        return run.get(JAVA_BYTE, MMIO_IS_WRITE) != 0;
    }

    /// What the guest writes, zero-extended.
    public long mmioValue() {
        long value = run.get(JAVA_LONG, MMIO_DATA);
        int length = mmioLength();
        return length >= Long.BYTES ? value : value & ((1L << (length * Byte.SIZE)) - 1);
    }

    /// Answers what the guest reads.
    public void mmioAnswer(long value) {
        run.set(JAVA_LONG, MMIO_DATA, value);
    }

    /// The suberror of an internal error: one of {@link KvmExit}'s `INTERNAL_ERROR_` constants.
    public int internalSuberror() {
        return run.get(JAVA_INT, kvm_run.internal$offset() + kvm_run.internal.suberror$offset());
    }

    /// What the kernel says more about an internal error; its meaning depends on the suberror.
    public long[] internalData() {
        MemorySegment internal = run.asSlice(kvm_run.internal$offset());
        int count = boundedCount(kvm_run.internal.ndata(internal), 16);
        return longs(internal, kvm_run.internal.data$offset(), count);
    }

    /// Which event: one of {@link KvmExit}'s `SYSTEM_EVENT_` constants.
    public int systemEventType() {
        return run.get(
                JAVA_INT, kvm_run.system_event$offset() + kvm_run.system_event.type$offset());
    }

    /// What the kernel says more about a system event.
    public long[] systemEventData() {
        MemorySegment event = run.asSlice(kvm_run.system_event$offset());
        int count = boundedCount(kvm_run.system_event.ndata(event), 16);
        return longs(event, kvm_run.system_event.data$offset(), count);
    }

    /// The processor's own reason why it refused to enter the guest.
    public long failEntryReason() {
        return run.get(
                JAVA_LONG,
                kvm_run.fail_entry$offset()
                        + kvm_run.fail_entry.hardware_entry_failure_reason$offset());
    }

    /// The linear address at which a debug exit happened.
    public long debugAddress() {
        MemorySegment debug = run.asSlice(kvm_run.debug$offset());
        return org.kaval.kvm.abi.kvm_debug_exit_arch.pc(kvm_run.debug.arch(debug));
    }

    /// The exception behind a debug exit: 1 for a step or a hardware breakpoint, 3 for `int3`.
    public int debugException() {
        MemorySegment debug = run.asSlice(kvm_run.debug$offset());
        return org.kaval.kvm.abi.kvm_debug_exit_arch.exception(kvm_run.debug.arch(debug));
    }

    private long ioOffset(int index, int size) {
        return run.get(JAVA_LONG, IO_DATA) + (long) index * size;
    }

    private static int boundedCount(int count, int limit) {
        return Math.clamp(count, 0, limit);
    }

    private static long[] longs(MemorySegment from, long offset, int count) {
        return from.asSlice(offset, count * (long) Long.BYTES).toArray(JAVA_LONG);
    }
}
