package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_CPUID2;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_MSRS;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_REGS;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_SREGS2;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_TSC_KHZ;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_XSAVE;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_XSAVE2;
import static org.kaval.kvm.abi.KvmAbi.KVM_GUESTDBG_ENABLE;
import static org.kaval.kvm.abi.KvmAbi.KVM_GUESTDBG_SINGLESTEP;
import static org.kaval.kvm.abi.KvmAbi.KVM_KVMCLOCK_CTRL;
import static org.kaval.kvm.abi.KvmAbi.KVM_MP_STATE_HALTED;
import static org.kaval.kvm.abi.KvmAbi.KVM_MP_STATE_INIT_RECEIVED;
import static org.kaval.kvm.abi.KvmAbi.KVM_MP_STATE_UNINITIALIZED;
import static org.kaval.kvm.abi.KvmAbi.KVM_RUN;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_CPUID2;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_GUEST_DEBUG;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_MSRS;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_REGS;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_SREGS2;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_TSC_KHZ;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_XSAVE;
import static org.kaval.kvm.abi.KvmAbi.KVM_TRANSLATE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.kaval.kvm.abi.kvm_guest_debug;
import org.kaval.kvm.abi.kvm_msr_entry;
import org.kaval.kvm.abi.kvm_msrs;
import org.kaval.kvm.abi.kvm_translation;
import org.kaval.kvm.abi.kvm_xsave;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;

/// One virtual CPU in the kernel.
///
/// Every method belongs to the vCPU's thread, while it is not in {@link #run}; other threads have
/// {@link #runState} and its {@link KvmRun#immediateExit}.
public final class KvmVcpu {
    /// What {@link #run} returns when a signal or {@link KvmRun#immediateExit} ended it.
    public static final int INTERRUPTED = -1;

    private static final long RUN = KVM_RUN();

    /// One less than what the kernel takes at a time (`MAX_IO_MSRS`, arch/x86/kvm/x86.c).
    private static final int MAX_MSRS = 255;

    private final Fd fd;
    private final KvmRun run;

    KvmVcpu(Fd fd, KvmRun run) {
        this.fd = fd;
        this.run = run;
    }

    /// Runs the guest until it needs something (`KVM_RUN`). Allocates nothing.
    ///
    /// @return the exit reason, one of {@link KvmExit}, or {@link #INTERRUPTED}
    /// @throws ErrnoException if the kernel cannot run this guest
    public int run() throws ErrnoException {
        long result = fd.tryIoctl(RUN, 0);
        if (result >= 0) {
            return run.exitReason();
        }
        if (result == -Errno.EINTR || result == -Errno.EAGAIN) {
            return INTERRUPTED;
        }
        throw new ErrnoException("KVM_RUN", fd.name(), (int) -result);
    }

    /// What the last {@link #run} ended with.
    public KvmRun runState() {
        return run;
    }

    /// Fills `regs` (`KVM_GET_REGS`).
    public void getRegs(KvmRegs regs) throws ErrnoException {
        fd.ioctl("KVM_GET_REGS", KVM_GET_REGS(), regs.segment);
    }

    /// `KVM_SET_REGS`.
    public void setRegs(KvmRegs regs) throws ErrnoException {
        fd.ioctl("KVM_SET_REGS", KVM_SET_REGS(), regs.segment);
    }

    /// Fills `sregs` (`KVM_GET_SREGS2`).
    public void getSregs(KvmSregs sregs) throws ErrnoException {
        fd.ioctl("KVM_GET_SREGS2", KVM_GET_SREGS2(), sregs.segment);
    }

    /// `KVM_SET_SREGS2`.
    public void setSregs(KvmSregs sregs) throws ErrnoException {
        fd.ioctl("KVM_SET_SREGS2", KVM_SET_SREGS2(), sregs.segment);
    }

    /// Says what the CPUID instruction answers (`KVM_SET_CPUID2`); before the first {@link #run}.
    public void setCpuid(List<CpuidEntry> entries) throws ErrnoException {
        CpuidEntry.writeAll(fd, "KVM_SET_CPUID2", KVM_SET_CPUID2(), entries);
    }

    /// `KVM_GET_CPUID2`.
    public List<CpuidEntry> getCpuid() throws ErrnoException {
        return CpuidEntry.readAll(fd, "KVM_GET_CPUID2", KVM_GET_CPUID2());
    }

    /// Reads those of the MSRs `indices` that this vCPU has (`KVM_GET_MSRS`).
    public List<KvmMsr> getMsrs(List<Integer> indices) throws ErrnoException {
        var values = new ArrayList<KvmMsr>(indices.size());
        int next = 0;
        while (next < indices.size()) {
            List<Integer> some = indices.subList(next, Math.min(next + MAX_MSRS, indices.size()));
            int read = readMsrs(some, values);
            // the kernel stops at the first one it cannot read, which is then left out
            next += read < some.size() ? read + 1 : read;
        }
        return List.copyOf(values);
    }

    /// Writes MSRs (`KVM_SET_MSRS`).
    ///
    /// @return those that were refused; their old values stand
    public List<KvmMsr> setMsrs(List<KvmMsr> msrs) throws ErrnoException {
        var refused = new ArrayList<KvmMsr>();
        int next = 0;
        while (next < msrs.size()) {
            List<KvmMsr> some = msrs.subList(next, Math.min(next + MAX_MSRS, msrs.size()));
            int written = writeMsrs(some);
            if (written < some.size()) {
                refused.add(some.get(written));
                next++;
            }
            next += written;
        }
        return List.copyOf(refused);
    }

    /// Reads the x87, SSE, AVX and later state in the format of the XSAVE instruction
    /// (`KVM_GET_XSAVE2`, or `KVM_GET_XSAVE` where the kernel has no other).
    ///
    /// @param size what {@link Capability#XSAVE2} is worth for the machine; 0 if it has none
    public byte[] getXsave(int size) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment xsave = arena.allocate(xsaveSize(size), Long.BYTES);
            if (size > 0) {
                fd.ioctl("KVM_GET_XSAVE2", KVM_GET_XSAVE2(), xsave);
            } else {
                fd.ioctl("KVM_GET_XSAVE", KVM_GET_XSAVE(), xsave);
            }
            return xsave.toArray(JAVA_BYTE);
        }
    }

    /// Writes what {@link #getXsave} returned for the same `size` (`KVM_SET_XSAVE`).
    public void setXsave(int size, byte[] bytes) throws ErrnoException {
        if (bytes.length != xsaveSize(size)) {
            throw new IllegalArgumentException(
                    "XSAVE is %d bytes, not %d".formatted(xsaveSize(size), bytes.length));
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment xsave = arena.allocate(bytes.length, Long.BYTES);
            xsave.copyFrom(MemorySegment.ofArray(bytes));
            fd.ioctl("KVM_SET_XSAVE", KVM_SET_XSAVE(), xsave);
        }
    }

    /// Reads one of the parts of fixed size.
    public byte[] getState(KvmVcpuState state) throws ErrnoException {
        return state.part.read(fd);
    }

    /// Writes one of the parts of fixed size.
    public void setState(KvmVcpuState state, byte[] bytes) throws ErrnoException {
        state.part.write(fd, bytes);
    }

    /// Whether it waits in the kernel, halted or not yet started by another vCPU
    /// (`KVM_GET_MP_STATE`).
    public boolean isWaiting() throws ErrnoException {
        int state = (int) StatePart.INT.get(StatePart.view(getState(KvmVcpuState.MP_STATE)), 0L);
        return state == KVM_MP_STATE_HALTED()
                || state == KVM_MP_STATE_UNINITIALIZED()
                || state == KVM_MP_STATE_INIT_RECEIVED();
    }

    /// Makes every instruction an exit with {@link KvmExit#DEBUG}, or stops that
    /// (`KVM_SET_GUEST_DEBUG`).
    public void setSingleStep(boolean on) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment debug = arena.allocate(kvm_guest_debug.layout());
            kvm_guest_debug.control(
                    debug, on ? KVM_GUESTDBG_ENABLE() | KVM_GUESTDBG_SINGLESTEP() : 0);
            fd.ioctl("KVM_SET_GUEST_DEBUG", KVM_SET_GUEST_DEBUG(), debug);
        }
    }

    /// The guest-physical address behind a guest-linear one in the present mode (`KVM_TRANSLATE`);
    /// empty if there is none.
    public OptionalLong translate(long linearAddress) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment translation = arena.allocate(kvm_translation.layout());
            kvm_translation.linear_address(translation, linearAddress);
            fd.ioctl("KVM_TRANSLATE", KVM_TRANSLATE(), translation);
            return kvm_translation.valid(translation) == 0
                    ? OptionalLong.empty()
                    : OptionalLong.of(kvm_translation.physical_address(translation));
        }
    }

    /// The frequency of the guest's time-stamp counter in kHz (`KVM_GET_TSC_KHZ`).
    public long tscKilohertz() throws ErrnoException {
        return fd.ioctl("KVM_GET_TSC_KHZ", KVM_GET_TSC_KHZ(), 0);
    }

    /// Sets that frequency (`KVM_SET_TSC_KHZ`).
    ///
    /// @throws ErrnoException if the host cannot scale its own
    public void setTscKilohertz(long kilohertz) throws ErrnoException {
        fd.ioctl("KVM_SET_TSC_KHZ", KVM_SET_TSC_KHZ(), kilohertz);
    }

    /// Tells the guest that it has stood still, so that it does not take that for a hang
    /// (`KVM_KVMCLOCK_CTRL`).
    ///
    /// @return whether it will hear of it: it has to use kvm-clock
    public boolean tellOfPause() {
        return fd.tryIoctl(KVM_KVMCLOCK_CTRL(), 0) == 0;
    }

    void close() {
        fd.close();
    }

    private int readMsrs(List<Integer> indices, List<KvmMsr> into) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment table = allocateMsrs(arena, indices.size());
            for (int i = 0; i < indices.size(); i++) {
                kvm_msr_entry.index(msr(table, i), indices.get(i));
            }
            int read = (int) fd.ioctl("KVM_GET_MSRS", KVM_GET_MSRS(), table);
            for (int i = 0; i < read; i++) {
                into.add(new KvmMsr(indices.get(i), kvm_msr_entry.data(msr(table, i))));
            }
            return read;
        }
    }

    private int writeMsrs(List<KvmMsr> msrs) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment table = allocateMsrs(arena, msrs.size());
            for (int i = 0; i < msrs.size(); i++) {
                kvm_msr_entry.index(msr(table, i), msrs.get(i).index());
                kvm_msr_entry.data(msr(table, i), msrs.get(i).value());
            }
            return (int) fd.ioctl("KVM_SET_MSRS", KVM_SET_MSRS(), table);
        }
    }

    private static MemorySegment allocateMsrs(Arena arena, int count) {
        MemorySegment table =
                arena.allocate(
                        kvm_msrs.entries$offset() + count * kvm_msr_entry.sizeof(), Long.BYTES);
        kvm_msrs.nmsrs(table, count);
        return table;
    }

    private static MemorySegment msr(MemorySegment table, int index) {
        long size = kvm_msr_entry.sizeof();
        return table.asSlice(kvm_msrs.entries$offset() + index * size, size);
    }

    private static long xsaveSize(int size) {
        return Math.max(size, kvm_xsave.layout().byteSize());
    }
}
