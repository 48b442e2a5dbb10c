package org.kaval.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ErrnoTest {
    @Test
    void numberOutsideTheTableIsItsOwnName() {
        assertEquals("134", Errno.name(134));
        assertEquals("-1", Errno.name(-1));
        assertEquals("0", Errno.name(0));
    }

    @Test
    void numberThatTheKernelSkipsIsItsOwnName() {
        assertEquals("41", Errno.name(41));
        assertEquals("58", Errno.name(58));
    }

    @Test
    void exceptionNamesOperationObjectAndErrno() {
        var exception = new ErrnoException("KVM_CREATE_VM", "/dev/kvm", Errno.EBUSY);
        assertEquals("KVM_CREATE_VM on /dev/kvm: EBUSY", exception.getMessage());
        assertEquals("KVM_CREATE_VM", exception.operation());
        assertEquals(Errno.EBUSY, exception.errno());
    }
}
