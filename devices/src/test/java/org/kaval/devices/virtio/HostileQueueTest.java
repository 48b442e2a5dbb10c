package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.GuestDriver.Used;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

/// A driver that breaks the rules of the rings: each time a {@link GuestFault} and nothing else,
/// and after a reset all is well.
class HostileQueueTest {
    private static final long RAM = 1 << 20;
    private static final int SIZE = 8;
    private static final long RINGS = 0x1000;
    private static final long DATA = 0x8000;
    private static final long TABLE = 0x4000;
    private static final int NEXT = GuestDriver.NEXT;
    private static final int WRITE = GuestDriver.WRITE;
    private static final int INDIRECT = GuestDriver.INDIRECT;
    private static final long BOTH = VirtQueue.F_EVENT_IDX | VirtQueue.F_INDIRECT_DESC;

    private final GuestMemory memory = GuestDriver.memory(RAM);
    private final GuestDriver driver = new GuestDriver(memory, RINGS, SIZE);
    private final DescriptorChain chain = new DescriptorChain(memory);
    private final VirtQueue queue = new VirtQueue(memory, 0, SIZE, () -> {}, null);

    @AfterEach
    void free() {
        memory.close();
    }

    private static Arguments breach(String expected, Consumer<GuestDriver> act) {
        return Arguments.of(expected, act);
    }

    static Stream<Arguments> breaches() {
        return Stream.of(
                breach("descriptor 8 of 8", driver -> driver.offer(SIZE)),
                breach("descriptor 65535 of 8", driver -> driver.offer(0xffff)),
                breach("descriptor 8 of 8", driver -> direct(driver, DATA, 4, NEXT, SIZE)),
                breach("a chain of more than 8", driver -> direct(driver, DATA, 4, NEXT, 0)),
                breach("a buffer at 0xfffff+", driver -> direct(driver, RAM - 1, 2, 0, 0)),
                breach("a buffer at 0x100000+", driver -> direct(driver, RAM, 1, WRITE, 0)),
                breach(
                        "a buffer at 0xffffffffffffffff+",
                        driver -> direct(driver, -1L, 0xffff_ffffL, WRITE, 0)),
                breach(
                        "a buffer at 0x7fffffffffffffff+",
                        driver -> direct(driver, Long.MAX_VALUE, 0xffff_ffffL, 0, 0)),
                breach("a buffer at 0x8000+", driver -> direct(driver, DATA, 0xffff_ffffL, 0, 0)),
                breach(
                        "a buffer to read behind one to write",
                        driver -> driver.add(Buffer.toWrite(DATA, 4), Buffer.toRead(DATA, 4))),
                breach(
                        "an indirect descriptor in an indirect table",
                        driver -> {
                            driver.write(TABLE, 0, TABLE, 16, INDIRECT, 0);
                            direct(driver, TABLE, 16, INDIRECT, 0);
                        }),
                breach(
                        "an indirect descriptor with a next one",
                        driver -> direct(driver, TABLE, 16, INDIRECT | NEXT, 1)),
                breach("an indirect table of 0", driver -> direct(driver, TABLE, 0, INDIRECT, 0)),
                breach("an indirect table of 17", driver -> direct(driver, TABLE, 17, INDIRECT, 0)),
                breach("an indirect table of 15", driver -> direct(driver, TABLE, 15, INDIRECT, 0)),
                breach(
                        "an indirect table of 268435455 descriptors",
                        driver -> direct(driver, TABLE, 0xffff_fff0L, INDIRECT, 0)),
                breach(
                        "an indirect table at 0xffff8+",
                        driver -> direct(driver, RAM - 8, 16, INDIRECT, 0)),
                breach(
                        "an indirect table at 0xfffffffffffffff0+",
                        driver -> direct(driver, -16L, 32, INDIRECT, 0)),
                breach(
                        "descriptor 1 of 1",
                        driver -> {
                            driver.write(TABLE, 0, DATA, 4, NEXT, 1);
                            direct(driver, TABLE, 16, INDIRECT, 0);
                        }),
                breach(
                        "a chain of more than 8",
                        driver -> {
                            driver.write(TABLE, 0, DATA, 4, NEXT, 0);
                            direct(driver, TABLE, 16, INDIRECT, 0);
                        }),
                breach("the available index is 9 ahead", driver -> driver.setAvailableIndex(9)),
                breach(
                        "the available index is 65535 ahead",
                        driver -> driver.setAvailableIndex(-1)));
    }

    private static void direct(GuestDriver driver, long address, long length, int flags, int next) {
        driver.descriptor(0, address, length, flags, next);
        driver.offer(0);
    }

    @ParameterizedTest
    @MethodSource("breaches")
    void breachIsAFaultAndAResetHealsIt(String expected, Consumer<GuestDriver> act) {
        driver.enable(queue);
        queue.start(BOTH);
        act.accept(driver);

        var fault = assertThrows(GuestFault.class, () -> queue.take(chain));

        assertTrue(
                String.valueOf(fault.getMessage()).startsWith("queue 0: " + expected),
                fault.getMessage());
        queue.stop();
        queue.reset();
        driver.restart();
        driver.enable(queue);
        queue.start(BOTH);
        int head = driver.add(Buffer.toRead(DATA, 4));
        assertTrue(queue.take(chain));
        queue.complete(chain, 0);
        assertEquals(List.of(new Used(head, 0)), driver.collect());
    }

    @Test
    void indirectTableThatWasNotNegotiatedIsAFault() {
        driver.enable(queue);
        queue.start(0);
        driver.addIndirect(TABLE, Buffer.toRead(DATA, 4));

        assertThrows(GuestFault.class, () -> queue.take(chain));
    }

    @Test
    void chainOfMoreThanFourGigabytesIsAFault() {
        var large = GuestDriver.memory(2L << 30); // not touched, so it costs nothing
        try (large) {
            var other = new GuestDriver(large, RINGS, SIZE);
            var its = new VirtQueue(large, 0, SIZE, () -> {}, null);
            other.enable(its);
            its.start(0);
            other.add(
                    Buffer.toWrite(0, 2L << 30), Buffer.toWrite(0, 2L << 30), Buffer.toWrite(0, 1));

            assertThrows(GuestFault.class, () -> its.take(new DescriptorChain(large)));
        }
    }

    @Test
    void moreInFlightThanThereAreDescriptorsIsAFault() {
        driver.enable(queue);
        queue.start(BOTH);
        for (int i = 0; i < SIZE; i++) {
            driver.add(Buffer.toRead(DATA, 4));
            assertTrue(queue.take(chain));
        }
        driver.add(Buffer.toRead(DATA, 4));

        assertThrows(GuestFault.class, () -> queue.take(chain));
        assertThrows(GuestFault.class, queue::awaitRequest);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, 3, 7, 16, 0x10000, Integer.MIN_VALUE})
    void sizeThatNoQueueHasIsAFault(int size) {
        queue.setSize(size);
        queue.setAddress(VirtQueue.Part.DESCRIPTORS, driver.descriptors);
        queue.setAddress(VirtQueue.Part.AVAILABLE, driver.available);
        queue.setAddress(VirtQueue.Part.USED, driver.used);

        assertThrows(GuestFault.class, queue::enable);
        queue.start(BOTH);
        assertEquals(false, queue.take(chain));
    }

    @ParameterizedTest
    @CsvSource({
        "0x1008, 0x2000, 0x3000", // not aligned
        "0x1000, 0x2001, 0x3000",
        "0x1000, 0x2000, 0x3002",
        "0xfffc0, 0x2000, 0x3000", // over the end of RAM
        "0x1000, 0xffff0, 0x3000",
        "0x1000, 0x2000, 0xfffc0",
        "0x100000, 0x2000, 0x3000",
        "-16, 0x2000, 0x3000",
        "0x1000, -2, 0x3000",
        "0x1000, 0x2000, -4",
        "0x7ffffffffffffff0, 0x2000, 0x3000"
    })
    void ringsWhereNoRingsCanBeAreAFault(String descriptors, String available, String used) {
        queue.setAddress(VirtQueue.Part.DESCRIPTORS, Long.decode(descriptors));
        queue.setAddress(VirtQueue.Part.AVAILABLE, Long.decode(available));
        queue.setAddress(VirtQueue.Part.USED, Long.decode(used));

        assertThrows(GuestFault.class, queue::enable);
        queue.start(BOTH);
        assertEquals(false, queue.take(chain));
    }
}
