package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.kaval.kvm.abi.KvmAbi.KVM_CLOCK_REALTIME;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_CLOCK;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_IRQCHIP;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_PIT2;
import static org.kaval.kvm.abi.KvmAbi.KVM_IRQCHIP_IOAPIC;
import static org.kaval.kvm.abi.KvmAbi.KVM_IRQCHIP_PIC_MASTER;
import static org.kaval.kvm.abi.KvmAbi.KVM_IRQCHIP_PIC_SLAVE;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_CLOCK;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_IRQCHIP;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_PIT2;

import java.lang.foreign.MemorySegment;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import org.kaval.kvm.abi.kvm_clock_data;
import org.kaval.kvm.abi.kvm_pic_state;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;

/// The parts of a machine's state that its vCPUs share, one kernel structure each.
public enum KvmVmState {
    /// `struct kvm_clock_data`: what kvm-clock shows the guest.
    CLOCK("CLOCK", KVM_GET_CLOCK(), KVM_SET_CLOCK(), 0),
    /// `struct kvm_pit_state2`.
    PIT("PIT2", KVM_GET_PIT2(), KVM_SET_PIT2(), 0),
    /// The first 8259 (`struct kvm_irqchip`).
    PIC_MASTER(KVM_IRQCHIP_PIC_MASTER()),
    /// The second 8259 (`struct kvm_irqchip`).
    PIC_SLAVE(KVM_IRQCHIP_PIC_SLAVE()),
    /// The IOAPIC (`struct kvm_irqchip`).
    IOAPIC(KVM_IRQCHIP_IOAPIC());

    /// In an entry of the IOAPIC's redirection table (Intel 82093AA §3.2.4).
    private static final long MASKED = 1 << 16;

    // Of structures whose generated classes take 5 ms to load, while a guest waits to go on.
    static final long CHIP = 8; // kvm_irqchip.chip
    static final long REDIRECTION_TABLE = 24; // kvm_ioapic_state.redirtbl

    @SuppressWarnings("Immutable") // a record of numbers and a string
    final StatePart part;

    KvmVmState(int chip) {
        this("IRQCHIP", KVM_GET_IRQCHIP(), KVM_SET_IRQCHIP(), chip);
    }

    KvmVmState(String kernelName, long getRequest, long setRequest, int selector) {
        this.part = new StatePart(kernelName, getRequest, setRequest, selector);
    }

    /// What {@link #CLOCK} is to be now, after it has been read a while ago.
    ///
    /// @param clock as it was read
    /// @param realtime when that was, in nanoseconds since 1970, unless the kernel has said it
    ///   there
    /// @param added whether the kernel adds what has passed (Linux 5.16)
    static byte[] clockSince(byte[] clock, long realtime, boolean added) {
        byte[] now = clock.clone();
        MemorySegment view = StatePart.view(now);
        int flags = (int) StatePart.INT.get(view, kvm_clock_data.flags$offset());
        if ((flags & KVM_CLOCK_REALTIME()) == 0) {
            StatePart.LONG.set(view, kvm_clock_data.realtime$offset(), realtime);
        }
        StatePart.INT.set(view, kvm_clock_data.flags$offset(), added ? KVM_CLOCK_REALTIME() : 0);
        if (!added) {
            long then = (long) StatePart.LONG.get(view, kvm_clock_data.realtime$offset());
            long passed = ChronoUnit.NANOS.between(Instant.EPOCH, Instant.now()) - then;
            long read = (long) StatePart.LONG.get(view, kvm_clock_data.clock$offset());
            StatePart.LONG.set(view, kvm_clock_data.clock$offset(), read + Math.max(0, passed));
        }
        return now;
    }

    /// Whether an interrupt controller passes on what its pin is told: the guest has set it up, and
    /// has not masked that.
    ///
    /// @param pin of {@link #IOAPIC} 0 to 23, of an 8259 0 to 7
    /// @throws IllegalStateException if this is none
    public boolean passesOn(KvmVm vm, int pin) throws ErrnoException {
        MemorySegment chip = StatePart.view(vm.getState(this)).asSlice(CHIP);
        return switch (this) {
            case IOAPIC -> {
                long at = REDIRECTION_TABLE + (long) pin * Long.BYTES;
                yield ((long) StatePart.LONG.get(chip, at) & MASKED) == 0;
            }
            case PIC_MASTER, PIC_SLAVE -> {
                boolean isSetUp = chip.get(JAVA_BYTE, kvm_pic_state.irq_base$offset()) != 0;
                yield isSetUp && (chip.get(JAVA_BYTE, kvm_pic_state.imr$offset()) >> pin & 1) == 0;
            }
            case CLOCK, PIT -> throw new IllegalStateException(this + " has no pins");
        };
    }

    byte[] read(Fd fd) throws ErrnoException {
        byte[] bytes = part.read(fd);
        if (this == CLOCK) {
            // before Linux 5.16 KVM_SET_CLOCK refuses the other flags that KVM_GET_CLOCK reports
            MemorySegment clock = StatePart.view(bytes);
            int flags = (int) StatePart.INT.get(clock, kvm_clock_data.flags$offset());
            StatePart.INT.set(clock, kvm_clock_data.flags$offset(), flags & KVM_CLOCK_REALTIME());
        }
        return bytes;
    }

    void write(Fd fd, byte[] bytes) throws ErrnoException {
        part.write(fd, bytes);
    }
}
