package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;

/// A structure that one ioctl reads and another writes, with the kernel's name for it: what the
/// enums of state have in common.
///
/// @param selector stored in the first four bytes before reading; tells which of several it is
record StatePart(String name, long getRequest, long setRequest, int selector) {
    private static final int SIZE_SHIFT = 16;
    private static final int SIZE_MASK = 0x3fff;

    /// For structures in byte arrays, which have no alignment.
    static final VarHandle INT = JAVA_INT_UNALIGNED.varHandle();

    /// The same for eight bytes.
    static final VarHandle LONG = JAVA_LONG_UNALIGNED.varHandle();

    static MemorySegment view(byte[] bytes) {
        return MemorySegment.ofArray(bytes);
    }

    /// In bytes, as the request has it (`_IOC_SIZE` of asm-generic/ioctl.h): the kernel reads and
    /// writes no more.
    long size() {
        return getRequest >> SIZE_SHIFT & SIZE_MASK;
    }

    byte[] read(Fd fd) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = arena.allocate(size(), Long.BYTES);
            struct.set(JAVA_INT, 0, selector);
            fd.ioctl("KVM_GET_" + name, getRequest, struct);
            return struct.toArray(JAVA_BYTE);
        }
    }

    void write(Fd fd, byte[] bytes) throws ErrnoException {
        if (bytes.length != size()) {
            throw new IllegalArgumentException(
                    "%s is %d bytes, not %d".formatted(name, size(), bytes.length));
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = arena.allocate(size(), Long.BYTES);
            struct.copyFrom(MemorySegment.ofArray(bytes));
            fd.ioctl("KVM_SET_" + name, setRequest, struct);
        }
    }
}
