package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Mmap;

/// A virtual machine with 32 KiB of memory at 0 and one vCPU in real mode, about to run a few bytes
/// of code at 0x1000. What lies above the memory is MMIO.
///
/// It has no interrupt controller, so that `hlt` is an exit.
final class TinyGuest implements AutoCloseable {
    static final int CODE = 0x1000;
    static final long MEMORY_SIZE = 0x8000;

    final KvmVm vm;
    final KvmVcpu vcpu;
    final MemorySegment memory;
    final KvmRegs regs = new KvmRegs();
    final KvmSregs sregs = new KvmSregs();
    private final Arena arena = Arena.ofShared();

    /// @param code the bytes, each as an `int` from 0 to 255
    TinyGuest(Kvm kvm, int... code) throws ErrnoException {
        vm = kvm.createVm();
        memory = Mmap.anonymous(arena, MEMORY_SIZE);
        vm.setUserMemoryRegion(0, KvmVm.LOG_DIRTY_PAGES, 0, memory);
        for (int i = 0; i < code.length; i++) {
            memory.set(JAVA_BYTE, CODE + i, (byte) code[i]);
        }
        vcpu = vm.createVcpu(0);
        vcpu.getSregs(sregs);
        // code or data, present, base 0 rather than the reset vector's
        sregs.cs(new KvmSegment(0, 0xffff, 0, 11, true, 0, false, true, false, false));
        vcpu.setSregs(sregs);
        regs.rip(CODE);
        regs.rflags(2); // the bit that is always set
        vcpu.setRegs(regs);
    }

    /// The first machine, before the memory: the kernel uses it until then.
    @Override
    public void close() {
        vm.close();
        arena.close();
    }
}
