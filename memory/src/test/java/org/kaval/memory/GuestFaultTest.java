package org.kaval.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class GuestFaultTest {
    @Test
    void faultCostsNoStackTraceAndSaysWhatHappened() {
        var fault = new GuestFault("no RAM at 0x10+0x4");

        fault.addSuppressed(new IllegalStateException());

        assertEquals("no RAM at 0x10+0x4", fault.getMessage());
        assertEquals(0, fault.getStackTrace().length);
        assertEquals(0, fault.getSuppressed().length);
    }
}
