package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;

class SupportedCpuidTest {
    private final SupportedCpuid cpuid = new SupportedCpuid();
    private final List<CpuidEntry> leaves = new ArrayList<>();
    private int asked;

    private List<CpuidEntry> ask() throws ErrnoException {
        return cpuid.get(() -> {
            asked++;
            return leaves;
        });
    }

    @Test
    void kernelIsAskedOnceWhileSomethingIsOpen() throws ErrnoException {
        cpuid.hold(); // a device
        ask();
        cpuid.hold(); // its machine
        cpuid.release();
        cpuid.hold(); // another device
        leaves.add(new CpuidEntry(0, 0, 0, 1, 2, 3, 4));

        assertEquals(List.of(), ask());
        assertEquals(1, asked);
    }

    @Test
    void kernelIsAskedAgainWhenEverythingWasClosed() throws ErrnoException {
        cpuid.hold();
        ask();
        cpuid.release();
        cpuid.hold();
        leaves.add(new CpuidEntry(0, 0, 0, 1, 2, 3, 4));

        assertEquals(leaves, ask());
        assertEquals(2, asked);
    }

    @Test
    void refusalIsNotKept() throws ErrnoException {
        cpuid.hold();

        assertThrows(
                ErrnoException.class,
                () ->
                        cpuid.get(() -> {
                            throw new ErrnoException("ioctl", "/dev/kvm", Errno.ENOMEM);
                        }));

        assertEquals(List.of(), ask());
    }
}
