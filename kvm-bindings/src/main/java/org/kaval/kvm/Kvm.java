package org.kaval.kvm;

import static org.kaval.kvm.abi.KvmAbi.KVM_API_VERSION;
import static org.kaval.kvm.abi.KvmAbi.KVM_CHECK_EXTENSION;
import static org.kaval.kvm.abi.KvmAbi.KVM_CREATE_VM;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_API_VERSION;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_MSR_INDEX_LIST;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_SUPPORTED_CPUID;
import static org.kaval.kvm.abi.KvmAbi.KVM_GET_VCPU_MMAP_SIZE;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import org.kaval.kvm.abi.kvm_msr_list;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.HostUnsupportedException;

/// The host's virtualization, `/dev/kvm`. Any thread.
public final class Kvm implements AutoCloseable {
    /// Where the kernel has it.
    public static final Path DEVICE = Path.of("/dev/kvm");

    /// More MSRs than any kernel lists (some 150 in Linux 6.12); a bound for what it may ask for.
    private static final int MAX_MSRS = 4096;

    private final Fd fd;
    private boolean closed; // guarded by this

    private Kvm(Fd fd) {
        this.fd = fd;
        SupportedCpuid.SHARED.hold();
    }

    /// Links native calls and the layouts of KVM's structures, which the first machine of a process
    /// does otherwise: some 60 ms, to be spent on a thread that would else have nothing to do.
    /// Needs no device and changes nothing.
    public static void prepare() {
        Fd.prepare();
        CpuidEntry.prepare();
        KvmRun.prepare();
    }

    /// Opens {@link #DEVICE}.
    ///
    /// @throws HostUnsupportedException if it is not there, not permitted, or not KVM
    public static Kvm open() throws IOException {
        return open(DEVICE);
    }

    /// Opens the KVM device at `device`.
    ///
    /// @throws HostUnsupportedException if it is not there, not permitted, or not KVM
    /// @throws ErrnoException if the host refused for another reason
    public static Kvm open(Path device) throws IOException {
        Fd fd;
        try {
            fd = Fd.open(device, Fd.Access.READ_WRITE);
        } catch (ErrnoException e) {
            String remedy = remedy(device, e.errno());
            if (remedy.isEmpty()) {
                throw e;
            }
            throw new HostUnsupportedException(
                    "cannot open %s: %s; %s".formatted(device, Errno.name(e.errno()), remedy), e);
        }
        long version = fd.tryIoctl(KVM_GET_API_VERSION(), 0);
        if (version != KVM_API_VERSION()) {
            fd.close();
            throw new HostUnsupportedException(
                    version < 0
                            ? "%s is not KVM: KVM_GET_API_VERSION: %s"
                                    .formatted(device, Errno.name((int) -version))
                            : "%s has KVM API version %d, and %d is needed"
                                    .formatted(device, version, KVM_API_VERSION()));
        }
        return new Kvm(fd);
    }

    /// What `capability` is worth on this host (`KVM_CHECK_EXTENSION`): 0 if it is not there, else
    /// 1 or a number whose meaning the capability has.
    public int check(Capability capability) {
        return checkExtension(capability.number());
    }

    /// {@link #check} by number, for capabilities that {@link Capability} does not name.
    public int checkExtension(int number) {
        return (int) Math.max(0, fd.tryIoctl(KVM_CHECK_EXTENSION(), number));
    }

    /// Makes an empty virtual machine (`KVM_CREATE_VM`).
    public KvmVm createVm() throws ErrnoException {
        long runSize = fd.ioctl("KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE(), 0);
        while (true) {
            try {
                return new KvmVm(
                        fd.ioctlFd("KVM_CREATE_VM", KVM_CREATE_VM(), 0, "KVM VM"), runSize);
            } catch (ErrnoException e) {
                // it waits for the processors, which a signal interrupts
                if (e.errno() != Errno.EINTR) {
                    throw e;
                }
            }
        }
    }

    /// The CPUID leaves that this host's KVM can show to a guest (`KVM_GET_SUPPORTED_CPUID`), as
    /// they were when they were first asked for of a device or machine of this process that is
    /// still open.
    public List<CpuidEntry> supportedCpuid() throws ErrnoException {
        return SupportedCpuid.SHARED.get(
                () -> CpuidEntry.readAll(fd, "KVM_GET_SUPPORTED_CPUID", KVM_GET_SUPPORTED_CPUID()));
    }

    /// The MSRs that make up a vCPU's state (`KVM_GET_MSR_INDEX_LIST`).
    public List<Integer> msrIndexList() throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            long header = kvm_msr_list.indices$offset();
            MemorySegment list =
                    arena.allocate(header + MAX_MSRS * (long) Integer.BYTES, Integer.BYTES);
            kvm_msr_list.nmsrs(list, MAX_MSRS);
            fd.ioctl("KVM_GET_MSR_INDEX_LIST", KVM_GET_MSR_INDEX_LIST(), list);
            int count = Math.min(kvm_msr_list.nmsrs(list), MAX_MSRS);
            return list.asSlice(header, count * (long) Integer.BYTES)
                    .elements(ValueLayout.JAVA_INT)
                    .map(element -> element.get(ValueLayout.JAVA_INT, 0))
                    .toList();
        }
    }

    /// Closes the device; virtual machines that were made from it go on.
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            SupportedCpuid.SHARED.release();
        }
        fd.close();
    }

    private static String remedy(Path device, int errno) {
        return switch (errno) {
            case Errno.ENOENT ->
                    "load the module with 'sudo modprobe kvm-intel' or 'sudo modprobe kvm-amd', and"
                            + " if that fails enable virtualization in the firmware or the outer"
                            + " hypervisor; a container is started with '--device "
                            + device
                            + "'";
            case Errno.EACCES, Errno.EPERM ->
                    "join its group with 'sudo usermod -aG kvm $USER' and log in again, or for this"
                            + " boot only: 'sudo chmod 666 "
                            + device
                            + "'";
            case Errno.ENODEV, Errno.ENXIO ->
                    "the kernel has no virtualization behind it: enable it in the firmware or the"
                            + " outer hypervisor";
            default -> "";
        };
    }
}
