package org.kaval.kvm;

import static org.kaval.kvm.abi.KvmAbi.KVM_CHECK_EXTENSION;
import static org.kaval.kvm.abi.KvmAbi.KVM_CLOCK_REALTIME;
import static org.kaval.kvm.abi.KvmAbi.KVM_CREATE_IRQCHIP;
import static org.kaval.kvm.abi.KvmAbi.KVM_CREATE_PIT2;
import static org.kaval.kvm.abi.KvmAbi.KVM_CREATE_VCPU;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_DIRTY_LOG;
import static org.kaval.kvm.abi.KvmAbi.KVM_IOEVENTFD;
import static org.kaval.kvm.abi.KvmAbi.KVM_IOEVENTFD_FLAG_DATAMATCH;
import static org.kaval.kvm.abi.KvmAbi.KVM_IOEVENTFD_FLAG_PIO;
import static org.kaval.kvm.abi.KvmAbi.KVM_IRQFD;
import static org.kaval.kvm.abi.KvmAbi.KVM_IRQ_LINE;
import static org.kaval.kvm.abi.KvmAbi.KVM_IRQ_ROUTING_IRQCHIP;
import static org.kaval.kvm.abi.KvmAbi.KVM_IRQ_ROUTING_MSI;
import static org.kaval.kvm.abi.KvmAbi.KVM_MEM_LOG_DIRTY_PAGES;
import static org.kaval.kvm.abi.KvmAbi.KVM_PIT_SPEAKER_DUMMY;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_GSI_ROUTING;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_IDENTITY_MAP_ADDR;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_TSS_ADDR;
import static org.kaval.kvm.abi.KvmAbi.KVM_SET_USER_MEMORY_REGION;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.kaval.kvm.abi.kvm_dirty_log;
import org.kaval.kvm.abi.kvm_ioeventfd;
import org.kaval.kvm.abi.kvm_irq_level;
import org.kaval.kvm.abi.kvm_irq_routing_entry;
import org.kaval.kvm.abi.kvm_irq_routing_irqchip;
import org.kaval.kvm.abi.kvm_irq_routing_msi;
import org.kaval.kvm.abi.kvm_irqfd;
import org.kaval.kvm.abi.kvm_pit_config;
import org.kaval.kvm.abi.kvm_userspace_memory_region;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.linux.Fd;
import org.kaval.linux.Mmap;

/// One virtual machine in the kernel. Any thread.
///
/// The kernel uses the memory that was given to it until the machine is closed, without any arena's
/// knowledge: whoever owns that memory closes the machine first.
public final class KvmVm implements AutoCloseable {
    /// Flag of {@link #setUserMemoryRegion}: note which pages the guest writes.
    public static final int LOG_DIRTY_PAGES = (int) KVM_MEM_LOG_DIRTY_PAGES();

    // jextract leaves these out: linux/kvm.h has 1 << 0, and 1 << kvm_ioeventfd_flag_nr_deassign
    static final int IRQFD_FLAG_DEASSIGN = 1;
    static final int IOEVENTFD_FLAG_DEASSIGN = 1 << 2;

    // struct kvm_irq_routing: nr and flags before its entries, which newer headers declare
    // otherwise
    static final int ROUTING_HEADER = 8;

    private final Fd fd;
    private final long runSize;
    private final Arena runs = Arena.ofShared();
    private final List<KvmVcpu> vcpus = new ArrayList<>(); // guarded by this

    KvmVm(Fd fd, long runSize) {
        this.fd = fd;
        this.runSize = runSize;
        SupportedCpuid.SHARED.hold();
    }

    /// What `capability` is worth for this machine (`KVM_CHECK_EXTENSION`); 0 if it is not there.
    public int check(Capability capability) {
        return (int) Math.max(0, fd.tryIoctl(KVM_CHECK_EXTENSION(), capability.number()));
    }

    /// Maps `host` into the guest at `guestAddress` (`KVM_SET_USER_MEMORY_REGION`).
    ///
    /// @param slot the region's number, from 0; the same number again changes it
    /// @param flags {@link #LOG_DIRTY_PAGES} or 0
    /// @param guestAddress guest-physical, a multiple of the page size
    /// @param host page-aligned and whole pages; stays mapped as long as the machine is there
    public void setUserMemoryRegion(int slot, int flags, long guestAddress, MemorySegment host)
            throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment region = arena.allocate(kvm_userspace_memory_region.layout());
            kvm_userspace_memory_region.slot(region, slot);
            kvm_userspace_memory_region.flags(region, flags);
            kvm_userspace_memory_region.guest_phys_addr(region, guestAddress);
            kvm_userspace_memory_region.memory_size(region, host.byteSize());
            kvm_userspace_memory_region.userspace_addr(region, host.address());
            fd.ioctl("KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION(), region);
        }
    }

    /// Fetches and clears which pages of region `slot` the guest has written since the last call
    /// (`KVM_GET_DIRTY_LOG`).
    ///
    /// @param bitmap one bit per page, lowest first, a whole number of 64-bit words; overwritten
    public void getDirtyLog(int slot, MemorySegment bitmap) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment log = arena.allocate(kvm_dirty_log.layout());
            kvm_dirty_log.slot(log, slot);
            kvm_dirty_log.dirty_bitmap(log, bitmap);
            fd.ioctl("KVM_GET_DIRTY_LOG", KVM_GET_DIRTY_LOG(), log);
        } finally {
            Reference.reachabilityFence(bitmap);
        }
    }

    /// Sets aside three pages of guest-physical address space that VT-x needs for real mode
    /// (`KVM_SET_TSS_ADDR`); without effect on AMD-V.
    public void setTssAddress(long guestAddress) throws ErrnoException {
        fd.ioctl("KVM_SET_TSS_ADDR", KVM_SET_TSS_ADDR(), guestAddress);
    }

    /// Sets aside one page of guest-physical address space that VT-x needs before paging is on
    /// (`KVM_SET_IDENTITY_MAP_ADDR`); before the first vCPU.
    public void setIdentityMapAddress(long guestAddress) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocateFrom(ValueLayout.JAVA_LONG, guestAddress);
            fd.ioctl("KVM_SET_IDENTITY_MAP_ADDR", KVM_SET_IDENTITY_MAP_ADDR(), address);
        }
    }

    /// Puts two 8259 PICs, an IOAPIC and a local APIC per vCPU into the kernel
    /// (`KVM_CREATE_IRQCHIP`); before the first vCPU.
    public void createIrqchip() throws ErrnoException {
        fd.ioctl("KVM_CREATE_IRQCHIP", KVM_CREATE_IRQCHIP(), 0);
    }

    /// Puts an 8254 timer, and port 0x61, into the kernel (`KVM_CREATE_PIT2`); after {@link
    /// #createIrqchip}.
    public void createPit() throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment config = arena.allocate(kvm_pit_config.layout());
            kvm_pit_config.flags(config, KVM_PIT_SPEAKER_DUMMY());
            fd.ioctl("KVM_CREATE_PIT2", KVM_CREATE_PIT2(), config);
        }
    }

    /// Makes vCPU `index` (`KVM_CREATE_VCPU`), which this machine closes.
    ///
    /// @param index also its APIC id
    public synchronized KvmVcpu createVcpu(int index) throws ErrnoException {
        if (!runs.scope().isAlive()) {
            throw new IllegalStateException(fd + " is closed");
        }
        String name = "vcpu " + index;
        Fd vcpu = fd.ioctlFd("KVM_CREATE_VCPU", KVM_CREATE_VCPU(), index, name);
        try {
            var created = new KvmVcpu(vcpu, new KvmRun(Mmap.shared(runs, vcpu, 0, runSize)));
            vcpus.add(created);
            return created;
        } catch (ErrnoException e) {
            vcpu.close();
            throw e;
        }
    }

    /// Sets interrupt line `gsi` of the in-kernel irqchip high or low (`KVM_IRQ_LINE`).
    public void setIrqLine(int gsi, boolean high) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment level = arena.allocate(kvm_irq_level.layout());
            kvm_irq_level.irq(level, gsi);
            kvm_irq_level.level(level, high ? 1 : 0);
            fd.ioctl("KVM_IRQ_LINE", KVM_IRQ_LINE(), level);
        }
    }

    /// Makes each signal of `event` a pulse on interrupt line `gsi` (`KVM_IRQFD`), until {@link
    /// #unassignIrqfd}, or until `event` is closed.
    public void assignIrqfd(EventFd event, int gsi) throws ErrnoException {
        irqfd(event, gsi, 0);
    }

    /// Ends what {@link #assignIrqfd} began; `event` signals nothing when this returns.
    public void unassignIrqfd(EventFd event, int gsi) throws ErrnoException {
        irqfd(event, gsi, IRQFD_FLAG_DEASSIGN);
    }

    private void irqfd(EventFd event, int gsi, int flags) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment irqfd = arena.allocate(kvm_irqfd.layout());
            kvm_irqfd.fd(irqfd, event.fd().number());
            kvm_irqfd.gsi(irqfd, gsi);
            kvm_irqfd.flags(irqfd, flags);
            fd.ioctl("KVM_IRQFD", KVM_IRQFD(), irqfd);
        }
    }

    /// Where an interrupt of a number (GSI) goes.
    public sealed interface InterruptRoute {
        int gsi();

        /// To a pin of an interrupt controller in the kernel.
        ///
        /// @param chip 0 and 1 are the 8259s, 2 is the IOAPIC: `KVM_IRQCHIP_…`
        record Pin(int gsi, int chip, int pin) implements InterruptRoute {}

        /// To local APICs, as a message (MSI).
        ///
        /// @param address where a device would write it
        /// @param data what it would write
        record Message(int gsi, long address, int data) implements InterruptRoute {}
    }

    /// Says where all interrupts go (`KVM_SET_GSI_ROUTING`), instead of what was said before.
    public void setInterruptRoutes(List<InterruptRoute> routes) throws ErrnoException {
        long entrySize = kvm_irq_routing_entry.layout().byteSize();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment table =
                    arena.allocate(ROUTING_HEADER + routes.size() * entrySize, Long.BYTES);
            table.set(ValueLayout.JAVA_INT, 0, routes.size());
            for (int i = 0; i < routes.size(); i++) {
                fill(table.asSlice(ROUTING_HEADER + i * entrySize, entrySize), routes.get(i));
            }
            fd.ioctl("KVM_SET_GSI_ROUTING", KVM_SET_GSI_ROUTING(), table);
        }
    }

    private static void fill(MemorySegment entry, InterruptRoute route) {
        kvm_irq_routing_entry.gsi(entry, route.gsi());
        MemorySegment where = kvm_irq_routing_entry.u(entry);
        switch (route) {
            case InterruptRoute.Pin(_, int chip, int pin) -> {
                kvm_irq_routing_entry.type(entry, KVM_IRQ_ROUTING_IRQCHIP());
                kvm_irq_routing_irqchip.irqchip(where, chip);
                kvm_irq_routing_irqchip.pin(where, pin);
            }
            case InterruptRoute.Message(_, long address, int data) -> {
                kvm_irq_routing_entry.type(entry, KVM_IRQ_ROUTING_MSI());
                kvm_irq_routing_msi.address_lo(where, (int) address);
                kvm_irq_routing_msi.address_hi(where, (int) (address >>> Integer.SIZE));
                kvm_irq_routing_msi.data(where, data);
            }
        }
    }

    /// Which writes of a guest an ioeventfd takes.
    ///
    /// @param space which address space `address` is in
    /// @param address guest-physical address, or port
    /// @param length of the write in bytes: 1, 2, 4 or 8; 0 for any
    /// @param match the value that must be written, if not any will do
    public record Doorbell(AddressSpace space, long address, int length, OptionalLong match) {
        /// Where it is.
        public enum AddressSpace {
            MMIO,
            PIO
        }
    }

    /// Makes the guest's writes to `doorbell` signals of `event`, without an exit
    /// (`KVM_IOEVENTFD`), until {@link #unassignIoeventfd}: closing `event` alone does not end it.
    public void assignIoeventfd(EventFd event, Doorbell doorbell) throws ErrnoException {
        ioeventfd(event, doorbell, 0);
    }

    /// Ends what {@link #assignIoeventfd} began with the same arguments.
    public void unassignIoeventfd(EventFd event, Doorbell doorbell) throws ErrnoException {
        ioeventfd(event, doorbell, IOEVENTFD_FLAG_DEASSIGN);
    }

    private void ioeventfd(EventFd event, Doorbell doorbell, int deassign) throws ErrnoException {
        int flags =
                deassign
                        | (doorbell.space == Doorbell.AddressSpace.PIO
                                ? KVM_IOEVENTFD_FLAG_PIO()
                                : 0)
                        | (doorbell.match.isPresent() ? KVM_IOEVENTFD_FLAG_DATAMATCH() : 0);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ioeventfd = arena.allocate(kvm_ioeventfd.layout());
            kvm_ioeventfd.fd(ioeventfd, event.fd().number());
            kvm_ioeventfd.addr(ioeventfd, doorbell.address);
            kvm_ioeventfd.len(ioeventfd, doorbell.length);
            kvm_ioeventfd.datamatch(ioeventfd, doorbell.match.orElse(0));
            kvm_ioeventfd.flags(ioeventfd, flags);
            fd.ioctl("KVM_IOEVENTFD", KVM_IOEVENTFD(), ioeventfd);
        }
    }

    /// Reads part of the state that all vCPUs share. While no vCPU runs.
    public byte[] getState(KvmVmState part) throws ErrnoException {
        return part.read(fd);
    }

    /// Writes part of the state that all vCPUs share. While no vCPU runs.
    ///
    /// @param bytes what {@link #getState} returned for the same part
    public void setState(KvmVmState part, byte[] bytes) throws ErrnoException {
        part.write(fd, bytes);
    }

    /// Lets what kvm-clock shows go on from where it was, as if it had not stood still since. While
    /// no vCPU runs.
    ///
    /// Before Linux 5.16, what passes between a look at the host's clock and the kernel's at this,
    /// the guest's is behind.
    ///
    /// @param clock what {@link #getState} returned for {@link KvmVmState#CLOCK}
    /// @param realtime when that was, in nanoseconds since 1970, for a clock that the kernel has
    ///   not itself said it of; nothing is added if it is to come
    public void setClock(byte[] clock, long realtime) throws ErrnoException {
        boolean added = (check(Capability.ADJUST_CLOCK) & KVM_CLOCK_REALTIME()) != 0;
        setState(KvmVmState.CLOCK, KvmVmState.clockSince(clock, realtime, added));
    }

    /// Ends the machine and its vCPUs. No thread may be in a call on any of them.
    @Override
    public synchronized void close() {
        if (runs.scope().isAlive()) {
            runs.close(); // the mappings hold the vCPUs, and these the machine
            SupportedCpuid.SHARED.release();
        }
        vcpus.forEach(KvmVcpu::close);
        fd.close();
    }
}
