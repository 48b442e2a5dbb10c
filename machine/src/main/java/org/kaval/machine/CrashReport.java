package org.kaval.machine;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmSregs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.machine.diagnosis.VcpuPicture;
import org.kaval.memory.GuestMemory;
import org.kaval.vcpu.ExitStatistics;

/// What is known about a vCPU that cannot go on.
final class CrashReport {
    /// What KVM on AMD-V leaves: the processor's own state is undefined there after a triple fault.
    static final String AFTER_RESET =
            "these are the registers after a reset: KVM on AMD-V resets a vCPU at a triple fault";

    private static final long RESET_RIP = 0xfff0;
    private static final long RESET_CS_BASE = 0xffff_0000L;

    private CrashReport() {}

    /// Registers, the bytes at RIP, and the last exits, a line each; on the vCPU's thread.
    static List<String> of(KvmVcpu vcpu, GuestMemory memory, ExitStatistics statistics)
            throws IOException {
        var regs = new KvmRegs();
        vcpu.getRegs(regs);
        var sregs = new KvmSregs();
        vcpu.getSregs(sregs);
        var lines = new ArrayList<String>();
        if (regs.rip() == RESET_RIP && sregs.cs().base() == RESET_CS_BASE) {
            lines.add(AFTER_RESET);
        }
        regs.toString().lines().forEach(lines::add);
        sregs.toString().lines().forEach(lines::add);
        lines.add("code at RIP: " + VcpuPicture.code(vcpu, memory, sregs.cs().base() + regs.rip()));
        statistics.recent().forEach(exit -> lines.add("exit: " + exit));
        return lines;
    }
}
