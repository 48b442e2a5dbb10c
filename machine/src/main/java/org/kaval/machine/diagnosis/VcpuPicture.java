package org.kaval.machine.diagnosis;

import java.io.IOException;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalLong;
import org.kaval.kvm.KvmMsr;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmSregs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVcpuState;
import org.kaval.memory.GuestMemory;
import org.kaval.vcpu.EntryState;

/// What a vCPU is at, between two instructions.
///
/// @param index its number
/// @param rip linear address of the next instruction
/// @param ring 0 to 3
/// @param interruptsOn RFLAGS.IF
/// @param code the next bytes at `rip` in hexadecimal, or why there are none
/// @param idtLimit of the interrupt descriptor table; 0 if there is none
/// @param divideHandler linear address of the handler of exception 0; 0 if it is not known
/// @param syscallEntry the MSR `LSTAR`; 0 if it is not known
public record VcpuPicture(
        int index,
        Activity activity,
        Mode mode,
        long rip,
        int ring,
        boolean interruptsOn,
        String code,
        int idtLimit,
        long divideHandler,
        long syscallEntry) {
    /// Whether it executes anything.
    public enum Activity {
        RUNNING("running"),
        /// In `HLT`, until an interrupt comes.
        HALTED("halted"),
        /// Not yet started by the one that boots.
        WAITING("not started");

        private final String text;

        Activity(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    /// The mode of the code it executes.
    public enum Mode {
        REAL("real mode"),
        PROTECTED("protected mode"),
        LONG("long mode"),
        /// 32-bit code under a 64-bit system.
        COMPATIBILITY("compatibility mode");

        private final String text;

        Mode(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    // include/uapi/linux/kvm.h, KVM_MP_STATE_
    private static final int MP_STATE_UNINITIALIZED = 1;
    private static final int MP_STATE_INIT_RECEIVED = 2;
    private static final int MP_STATE_HALTED = 3;

    private static final int MSR_LSTAR = 0xc000_0082; // Intel SDM vol. 4, table 2-2
    private static final long RFLAGS_IF = 1 << 9;
    private static final int CODE_BYTES = 16;
    private static final int GATE_BYTES = 16;
    private static final long PAGE_MASK = 0xfff;
    private static final HexFormat HEX = HexFormat.ofDelimiter(" ");

    /// Looks at a vCPU; on its thread, between two instructions.
    public static VcpuPicture read(int index, KvmVcpu vcpu, GuestMemory memory) throws IOException {
        var regs = new KvmRegs();
        vcpu.getRegs(regs);
        var sregs = new KvmSregs();
        vcpu.getSregs(sregs);
        Mode mode = mode(sregs);
        long rip = sregs.cs().base() + regs.rip();
        return new VcpuPicture(
                index,
                activity(vcpu),
                mode,
                rip,
                mode == Mode.REAL ? 0 : sregs.cs().selector() & 3,
                (regs.rflags() & RFLAGS_IF) != 0,
                code(vcpu, memory, rip),
                sregs.idt().limit(),
                mode == Mode.LONG ? handler(vcpu, memory, sregs.idt().base()) : 0,
                vcpu.getMsrs(List.of(MSR_LSTAR)).stream()
                        .findFirst()
                        .map(KvmMsr::value)
                        .orElse(0L));
    }

    /// Whether it can never go on by itself.
    boolean isHaltedForEver() {
        return activity == Activity.HALTED && !interruptsOn;
    }

    /// The bytes at a linear address in hexadecimal, as far as they are in the same page.
    public static String code(KvmVcpu vcpu, GuestMemory memory, long linear) throws IOException {
        OptionalLong physical = vcpu.translate(linear);
        if (physical.isEmpty()) {
            return "not mapped";
        }
        long address = physical.getAsLong();
        // the next page may be anywhere, or nowhere
        int length = (int) Math.min(CODE_BYTES, PAGE_MASK + 1 - (address & PAGE_MASK));
        if (!memory.holds(address, length)) {
            return "not in RAM";
        }
        byte[] bytes = new byte[length];
        memory.read(address, bytes);
        return HEX.formatHex(bytes);
    }

    private static Activity activity(KvmVcpu vcpu) throws IOException {
        return switch (vcpu.getState(KvmVcpuState.MP_STATE)[0]) {
            case MP_STATE_UNINITIALIZED, MP_STATE_INIT_RECEIVED -> Activity.WAITING;
            case MP_STATE_HALTED -> Activity.HALTED;
            default -> Activity.RUNNING;
        };
    }

    private static Mode mode(KvmSregs sregs) {
        if ((sregs.cr0() & EntryState.CR0_PE) == 0) {
            return Mode.REAL;
        }
        if ((sregs.efer() & EntryState.EFER_LMA) == 0) {
            return Mode.PROTECTED;
        }
        return sregs.cs().longMode() ? Mode.LONG : Mode.COMPATIBILITY;
    }

    /// Where the first gate of a 64-bit IDT leads (Intel SDM vol. 3A §7.14.1).
    private static long handler(KvmVcpu vcpu, GuestMemory memory, long idt) throws IOException {
        OptionalLong physical = vcpu.translate(idt);
        if (physical.isEmpty() || !memory.holds(physical.getAsLong(), GATE_BYTES)) {
            return 0;
        }
        long low = memory.readLe64(physical.getAsLong());
        long high = memory.readLe64(physical.getAsLong() + Long.BYTES);
        return (low & 0xffff) | (low >>> 32 & 0xffff_0000L) | high << 32;
    }
}
