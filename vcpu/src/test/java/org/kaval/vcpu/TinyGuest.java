package org.kaval.vcpu;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Predicate;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmDescriptorTable;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmSregs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.Mmap;

/// A machine of one vCPU and 64 KiB of RAM, whose handler notes what the guest does.
///
/// | address           | what                                                               |
/// |-------------------|--------------------------------------------------------------------|
/// | 0x1000            | the code                                                           |
/// | below 0x3000      | the stack                                                          |
/// | 0x3000-0x3fff     | data                                                               |
/// | 0x4000            | GDT for 32-bit code, and 0x4100 for 64-bit                         |
/// | 0x5000-0x8fff     | page tables: 0 to 1 GiB, and 2 MiB at 8 GiB, where they are        |
/// | 0x400000, 8 GiB   | no RAM: accesses are the handler's                                 |
///
/// Without an in-kernel irqchip, so that `hlt` is an exit, unless asked for.
final class TinyGuest implements ExitHandler, AutoCloseable {
    static final int CODE = 0x1000;
    static final int STACK = 0x3000;
    static final int DATA = 0x3000;
    static final long MMIO = 0x40_0000;
    static final long HIGH_MMIO = 0x2_0000_0000L;
    static final int PAGE_TABLE = 0x5000;

    private static final int MEMORY_SIZE = 0x10000;
    private static final int PDPT = 0x6000;
    private static final int LOW_DIRECTORY = 0x7000;
    private static final int HIGH_DIRECTORY = 0x8000;
    private static final long PRESENT_WRITABLE = 0b11;
    private static final long LARGE = 1 << 7;

    static final KvmDescriptorTable GDT32 = new KvmDescriptorTable(0x4000, 0x1f);
    static final KvmDescriptorTable GDT64 = new KvmDescriptorTable(0x4100, 0x1f);

    static final EntryState REAL16 = new EntryState.Real16(CODE, STACK);
    static final EntryState PROTECTED32 = new EntryState.Protected32(CODE, STACK, GDT32);
    static final EntryState LONG64 = new EntryState.Long64(CODE, STACK, GDT64, PAGE_TABLE);

    /// What a guest does to a port or to memory that is not there.
    enum Kind {
        IN,
        OUT,
        LOAD,
        STORE
    }

    /// @param value what was written, or what the guest was given to read
    record Access(Kind kind, long address, int size, long value) {
        @Override
        public String toString() {
            return "%s 0x%x, %d bytes: 0x%x".formatted(kind, address, size, value);
        }
    }

    private final Kvm kvm;
    private final KvmVm vm;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final Vcpu vcpu;
    private final BlockingQueue<VcpuExit> exits = new LinkedBlockingQueue<>();
    private final List<Access> accesses = new ArrayList<>(); // guarded by itself
    private final CompletableFuture<Throwable> bug = new CompletableFuture<>();
    private volatile Function<Access, Long> answers = _ -> 0L;
    private volatile Predicate<VcpuExit> goesOn = _ -> false;

    private TinyGuest(boolean irqchip, String... hexCode) throws IOException {
        kvm = Kvm.open();
        vm = kvm.createVm();
        vm.setIdentityMapAddress(0xfffb_c000L);
        vm.setTssAddress(0xfffb_d000L);
        if (irqchip) {
            vm.createIrqchip();
        }
        memory = Mmap.anonymous(arena, MEMORY_SIZE);
        vm.setUserMemoryRegion(0, 0, 0, memory);
        writeTables();
        byte[] code = HexFormat.of().parseHex(String.join("", hexCode).replace(" ", ""));
        MemorySegment.copy(code, 0, memory, JAVA_BYTE, CODE, code.length);
        KvmVcpu kvmVcpu = vm.createVcpu(0);
        kvmVcpu.setCpuid(
                new CpuidModel(kvm.supportedCpuid(), Topology.ofCores(1), false, 0).forVcpu(0));
        vcpu = Vcpu.start(0, kvmVcpu, this);
    }

    /// A paused guest.
    ///
    /// @param hexCode its code, an instruction each
    static TinyGuest of(EntryState entry, String... hexCode)
            throws IOException, InterruptedException {
        var guest = new TinyGuest(false, hexCode);
        guest.enter(entry);
        return guest;
    }

    /// A paused guest with interrupt controllers in the kernel, where `hlt` waits for an interrupt.
    static TinyGuest withIrqchip(EntryState entry, String... hexCode)
            throws IOException, InterruptedException {
        var guest = new TinyGuest(true, hexCode);
        guest.enter(entry);
        return guest;
    }

    Kvm kvm() {
        return kvm;
    }

    KvmVm vm() {
        return vm;
    }

    Vcpu vcpu() {
        return vcpu;
    }

    MemorySegment memory() {
        return memory;
    }

    /// Says what the guest reads, given an access of value 0; called for writes, too.
    void answer(Function<Access, Long> newAnswers) {
        answers = newAnswers;
    }

    /// Says after which exits the guest goes on; after none unless told.
    void goOnAfter(Predicate<VcpuExit> newGoesOn) {
        goesOn = newGoesOn;
    }

    /// What the guest accessed so far.
    List<Access> accesses() {
        synchronized (accesses) {
            return List.copyOf(accesses);
        }
    }

    /// What came out of the vCPU's thread.
    Throwable bug() throws Exception {
        return bug.get(30, TimeUnit.SECONDS);
    }

    /// Lets the guest run until it stops by itself, and pauses it.
    VcpuExit runToExit() throws InterruptedException {
        vcpu.resume();
        VcpuExit exit = nextExit();
        vcpu.pause();
        return exit;
    }

    /// Waits until the guest has accessed something and is paused.
    void awaitPauseAfterAccess() {
        await(() -> !accesses().isEmpty() && vcpu.state() == Vcpu.State.PAUSED);
    }

    /// Waits for what another thread does; the test's time limit is the limit.
    static void await(BooleanSupplier condition) {
        while (!condition.getAsBoolean()) {
            Thread.onSpinWait();
        }
    }

    VcpuExit nextExit() throws InterruptedException {
        VcpuExit exit = exits.poll(30, TimeUnit.SECONDS);
        if (exit == null) {
            throw new AssertionError("no exit in 30 s; accesses: " + accesses());
        }
        return exit;
    }

    KvmRegs regs() throws IOException, InterruptedException {
        return vcpu.call(kvmVcpu -> {
            var regs = new KvmRegs();
            kvmVcpu.getRegs(regs);
            return regs;
        });
    }

    KvmSregs sregs() throws IOException, InterruptedException {
        return vcpu.call(kvmVcpu -> {
            var sregs = new KvmSregs();
            kvmVcpu.getSregs(sregs);
            return sregs;
        });
    }

    int readByte(long address) {
        return Byte.toUnsignedInt(memory.get(JAVA_BYTE, address));
    }

    int readInt(long address) {
        return memory.get(JAVA_INT_UNALIGNED, address);
    }

    long readLong(long address) {
        return memory.get(JAVA_LONG_UNALIGNED, address);
    }

    @Override
    public int portRead(int port, int size) {
        return (int) note(Kind.IN, port, size, 0);
    }

    @Override
    public void portWrite(int port, int size, int value) {
        note(Kind.OUT, port, size, Integer.toUnsignedLong(value));
    }

    @Override
    public long mmioRead(long address, int size) {
        return note(Kind.LOAD, address, size, 0);
    }

    @Override
    public void mmioWrite(long address, int size, long value) {
        note(Kind.STORE, address, size, value);
    }

    @Override
    public boolean exited(Vcpu exited, VcpuExit exit) {
        exits.add(exit);
        return goesOn.test(exit);
    }

    @Override
    public void broken(Vcpu broken, Throwable cause) {
        bug.complete(cause);
    }

    @Override
    public void close() {
        try {
            assertTrue(vcpu.stop(Duration.ofSeconds(30)), "the vCPU's thread has not ended");
        } catch (InterruptedException e) {
            throw new AssertionError(e); // the memory stays mapped under a guest that may run
        }
        vm.close();
        arena.close();
        kvm.close();
    }

    private void enter(EntryState entry) throws IOException, InterruptedException {
        vcpu.call(kvmVcpu -> {
            entry.writeTo(kvmVcpu);
            return true;
        });
    }

    private long note(Kind kind, long address, int size, long value) {
        long answer = answers.apply(new Access(kind, address, size, value));
        boolean read = kind == Kind.IN || kind == Kind.LOAD;
        synchronized (accesses) {
            accesses.add(new Access(kind, address, size, read ? answer : value));
        }
        return answer;
    }

    private void writeTables() {
        // flat, ring 0, accessed: Intel SDM vol. 3A §3.4.5
        memory.set(JAVA_LONG_UNALIGNED, GDT32.base() + 0x10, 0x00cf_9b00_0000_ffffL);
        memory.set(JAVA_LONG_UNALIGNED, GDT32.base() + 0x18, 0x00cf_9300_0000_ffffL);
        memory.set(JAVA_LONG_UNALIGNED, GDT64.base() + 0x10, 0x00af_9b00_0000_ffffL);
        memory.set(JAVA_LONG_UNALIGNED, GDT64.base() + 0x18, 0x00cf_9300_0000_ffffL);

        memory.set(JAVA_LONG_UNALIGNED, PAGE_TABLE, PDPT | PRESENT_WRITABLE);
        memory.set(JAVA_LONG_UNALIGNED, PDPT, LOW_DIRECTORY | PRESENT_WRITABLE);
        memory.set(JAVA_LONG_UNALIGNED, PDPT + 8 * 8, HIGH_DIRECTORY | PRESENT_WRITABLE);
        for (long i = 0; i < 512; i++) {
            memory.set(
                    JAVA_LONG_UNALIGNED, LOW_DIRECTORY + i * 8, i << 21 | LARGE | PRESENT_WRITABLE);
        }
        memory.set(JAVA_LONG_UNALIGNED, HIGH_DIRECTORY, HIGH_MMIO | LARGE | PRESENT_WRITABLE);
    }
}
