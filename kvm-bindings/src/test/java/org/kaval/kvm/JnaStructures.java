package org.kaval.kvm;

import com.sun.jna.Structure;
import com.sun.jna.Structure.FieldOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Structures of the kernel as JNA lays them out, written from the header text by hand: the second
/// opinion on what jextract made. Names of classes and fields are C's.
final class JnaStructures {
    private JnaStructures() {}

    /// Lets the offsets be seen.
    public abstract static class Layout extends Structure {
        protected Layout() {}

        protected Layout(int alignment) {
            super(alignment);
        }

        /// The offset of each field, in the order of the fields.
        public Map<String, Long> offsets() {
            List<String> names = getFieldOrder();
            var offsets = new LinkedHashMap<String, Long>();
            for (String name : names) {
                offsets.put(name, (long) fieldOffset(name));
            }
            return offsets;
        }
    }

    /// linux/kvm.h, arch/x86: `struct kvm_regs`.
    @FieldOrder({
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip", "rflags"
    })
    public static class kvm_regs extends Layout {
        public long rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
        public long r8, r9, r10, r11, r12, r13, r14, r15;
        public long rip, rflags;
    }

    /// `struct kvm_segment`.
    @FieldOrder({
        "base",
        "limit",
        "selector",
        "type",
        "present",
        "dpl",
        "db",
        "s",
        "l",
        "g",
        "avl",
        "unusable",
        "padding"
    })
    public static class kvm_segment extends Layout {
        public long base;
        public int limit;
        public short selector;
        public byte type, present, dpl, db, s, l, g, avl, unusable, padding;
    }

    /// `struct kvm_dtable`.
    @FieldOrder({"base", "limit", "padding"})
    public static class kvm_dtable extends Layout {
        public long base;
        public short limit;
        public short[] padding = new short[3];
    }

    /// `struct kvm_sregs2`.
    @FieldOrder({
        "cs",
        "ds",
        "es",
        "fs",
        "gs",
        "ss",
        "tr",
        "ldt",
        "gdt",
        "idt",
        "cr0",
        "cr2",
        "cr3",
        "cr4",
        "cr8",
        "efer",
        "apic_base",
        "flags",
        "pdptrs"
    })
    public static class kvm_sregs2 extends Layout {
        public kvm_segment cs = new kvm_segment();
        public kvm_segment ds = new kvm_segment();
        public kvm_segment es = new kvm_segment();
        public kvm_segment fs = new kvm_segment();
        public kvm_segment gs = new kvm_segment();
        public kvm_segment ss = new kvm_segment();
        public kvm_segment tr = new kvm_segment();
        public kvm_segment ldt = new kvm_segment();
        public kvm_dtable gdt = new kvm_dtable();
        public kvm_dtable idt = new kvm_dtable();
        public long cr0, cr2, cr3, cr4, cr8;
        public long efer;
        public long apic_base;
        public long flags;
        public long[] pdptrs = new long[4];
    }

    /// `struct kvm_userspace_memory_region`.
    @FieldOrder({"slot", "flags", "guest_phys_addr", "memory_size", "userspace_addr"})
    public static class kvm_userspace_memory_region extends Layout {
        public int slot, flags;
        public long guest_phys_addr, memory_size, userspace_addr;
    }

    /// `struct kvm_irqfd`.
    @FieldOrder({"fd", "gsi", "flags", "resamplefd", "pad"})
    public static class kvm_irqfd extends Layout {
        public int fd, gsi, flags, resamplefd;
        public byte[] pad = new byte[16];
    }

    /// `struct kvm_ioeventfd`.
    @FieldOrder({"datamatch", "addr", "len", "fd", "flags", "pad"})
    public static class kvm_ioeventfd extends Layout {
        public long datamatch, addr;
        public int len, fd, flags;
        public byte[] pad = new byte[36];
    }

    /// `struct kvm_cpuid_entry2`.
    @FieldOrder({"function", "index", "flags", "eax", "ebx", "ecx", "edx", "padding"})
    public static class kvm_cpuid_entry2 extends Layout {
        public int function, index, flags, eax, ebx, ecx, edx;
        public int[] padding = new int[3];
    }

    /// `struct kvm_msr_entry`.
    @FieldOrder({"index", "reserved", "data"})
    public static class kvm_msr_entry extends Layout {
        public int index, reserved;
        public long data;
    }

    /// sys/epoll.h: `struct epoll_event`, which is packed on x86-64.
    @FieldOrder({"events", "data"})
    public static class epoll_event extends Layout {
        public int events;
        public long data;

        public epoll_event() {
            super(ALIGN_NONE);
        }
    }

    /// time.h: `struct timespec`.
    @FieldOrder({"tv_sec", "tv_nsec"})
    public static class timespec extends Layout {
        public long tv_sec, tv_nsec;
    }

    /// `struct itimerspec`.
    @FieldOrder({"it_interval", "it_value"})
    public static class itimerspec extends Layout {
        public timespec it_interval = new timespec();
        public timespec it_value = new timespec();
    }
}
