package org.kaval.devices.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.FakeMessages;
import org.kaval.devices.MessageInterrupts.MessageInterrupt;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;

class MsiXTest {
    private static final int VECTORS = 3;
    private static final int ENABLE = 1 << 15;
    private static final int MASK_ALL = 1 << 14;
    private static final long ADDRESS = 0xfee0_1000L;

    private final FakeMessages messages = new FakeMessages();
    private final PciFunction function =
            new PciFunction(new PciIdentity(0x1234, 0x5678, 0, 0, 0, 0));
    private final MsiX msix;

    MsiXTest() throws ErrnoException {
        msix = MsiX.open(messages, "test", VECTORS);
        msix.addTo(function, 2, 0x800);
    }

    private void control(int value) {
        function.write(0x42, 2, value);
    }

    private void program(int vector, int data) {
        msix.write(16L * vector, 4, ADDRESS);
        msix.write(16L * vector + 4, 4, 0x12);
        msix.write(16L * vector + 8, 4, data);
    }

    private void mask(int vector, boolean on) {
        msix.write(16L * vector + 12, 4, on ? 1 : 0);
    }

    @Test
    void capabilitySaysWhereTheTableIs() {
        assertEquals(0x11, function.read(0x40, 1));
        assertEquals(VECTORS - 1, function.read(0x42, 2));
        assertEquals(0x802, function.read(0x44, 4));
        assertEquals(0x832, function.read(0x48, 4));
        assertEquals(0x38, msix.size());
        control(0xffff);
        assertEquals(ENABLE | MASK_ALL | (VECTORS - 1), function.read(0x42, 2));
    }

    @Test
    void vectorsAreMaskedAtFirst() {
        assertEquals(1, msix.read(12, 4));
        assertEquals(1L << 32, msix.read(8, 8));
        assertFalse(msix.isEnabled());
    }

    @Test
    void messageGoesOutWhereTheTableSays() {
        control(ENABLE);
        program(1, 0x41);
        mask(1, false);

        msix.signal(1);

        assertTrue(msix.isEnabled());
        assertEquals(List.of("1 goes to 0x12fee01000, 0x41", "1 pulses"), messages.take());
        assertEquals(0x12_fee0_1000L, msix.read(16, 8));
        msix.signal(1);
        assertEquals(List.of("1 pulses"), messages.take());
    }

    @Test
    void whatIsMaskedIsPendingUntilItIsNot() {
        control(ENABLE);
        program(2, 0x41);

        msix.signal(2);
        msix.signal(2);

        assertEquals(1 << 2, msix.read(0x30, 8));
        assertEquals(List.of(), messages.take());
        mask(2, false);
        assertEquals(List.of("2 goes to 0x12fee01000, 0x41", "2 pulses"), messages.take());
        assertEquals(0, msix.read(0x30, 4));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, ENABLE | MASK_ALL})
    void functionCanBeMaskedAsAWhole(int value) {
        program(0, 0x41);
        mask(0, false);
        control(value);

        msix.signal(0);

        assertEquals(List.of(), messages.take());
        control(ENABLE);
        assertEquals(List.of("0 goes to 0x12fee01000, 0x41", "0 pulses"), messages.take());
    }

    @Test
    void changeWhileMaskedIsToldOnceAtItsEnd() {
        control(ENABLE);
        program(0, 0x41);
        mask(0, false);
        messages.take();

        mask(0, true);
        program(0, 0x42);
        program(0, 0x43);
        mask(0, false);
        mask(0, true);
        mask(0, false);

        assertEquals(List.of("0 goes to 0x12fee01000, 0x43"), messages.take());
    }

    @Test
    void pendingMessagesCanBeForgotten() {
        control(ENABLE);
        msix.signal(0);

        msix.clearPending();
        mask(0, false);

        assertEquals(List.of("0 goes to 0x0, 0x0"), withRoute());
    }

    private List<String> withRoute() {
        msix.write(0, 4, 0);
        return messages.take();
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "0, 2", "2, 4", "4, 8", "0x34, 8", "0x38, 4", "0x1000, 4", "0, 3"})
    void otherAccessesReadAsOnesAndAreIgnored(String offset, int size) {
        msix.write(Long.decode(offset), size, 0);

        assertEquals(-1, msix.read(Long.decode(offset), size));
        assertEquals(1, msix.read(12, 4));
    }

    @Test
    void closeClosesAll() {
        msix.close();
        assertEquals(List.of("0 closes", "1 closes", "2 closes"), messages.take());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2049})
    void countThatNoFunctionHasIsRefused(int count) {
        assertThrows(IllegalArgumentException.class, () -> MsiX.open(messages, "test", count));
    }

    @Test
    void messageGoesDirectlyWhileNothingMasksIt() throws ErrnoException {
        try (EventFd event = EventFd.create("message")) {
            MsiX direct = MsiX.open(_ -> messageOf(event), "test", 1);
            var other = new PciFunction(new PciIdentity(0x1234, 0x5678, 0, 0, 0, 0));
            direct.addTo(other, 0, 0);
            var told = new ArrayList<Boolean>(); // whether it does
            direct.onMask(vector -> told.add(direct.direct(vector) == event));

            direct.write(12, 4, 0); // not masked, and not enabled
            assertNull(direct.direct(0));
            other.write(0x42, 2, ENABLE);
            other.write(0x42, 2, ENABLE | MASK_ALL);
            other.write(0x42, 2, ENABLE);
            direct.write(8, 8, 1L << 32 | 0x41);
            direct.write(8, 4, 0x42); // the message alone says nothing new
            direct.write(12, 4, 0);

            assertEquals(List.of(false, true, false, true, false, true), told);
        }
    }

    private static MessageInterrupt messageOf(EventFd event) {
        return new MessageInterrupt() {
            @Override
            public void route(long address, int data) {}

            @Override
            public EventFd event() {
                return event;
            }

            @Override
            public void pulse() {}

            @Override
            public void close() {}
        };
    }
}
