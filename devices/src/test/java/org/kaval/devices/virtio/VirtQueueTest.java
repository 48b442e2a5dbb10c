package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.devices.Host;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.GuestDriver.Used;
import org.kaval.memory.GuestFault;
import org.kaval.memory.GuestMemory;

class VirtQueueTest {
    private static final long RAM = 1 << 20;
    private static final int SIZE = 8;
    private static final long RINGS = 0x1000;
    private static final long DATA = 0x8000;
    private static final long TABLE = 0x4000;
    private static final long BOTH = VirtQueue.F_EVENT_IDX | VirtQueue.F_INDIRECT_DESC;

    private final GuestMemory memory = GuestDriver.memory(RAM);
    private final GuestDriver driver = new GuestDriver(memory, RINGS, SIZE);
    private final DescriptorChain chain = new DescriptorChain(memory);
    private int interrupts;
    private final VirtQueue queue = new VirtQueue(memory, 0, SIZE, () -> interrupts++, null);

    @AfterEach
    void free() {
        memory.close();
    }

    private void start(long features) {
        driver.enable(queue);
        queue.start(features);
    }

    private void take() {
        assertTrue(queue.take(chain), "there is a request");
    }

    @Test
    void queueThatIsNotEnabledGivesNothing() {
        driver.add(Buffer.toRead(DATA, 16));

        queue.start(0);

        assertFalse(queue.take(chain));
        assertFalse(queue.awaitRequest());
    }

    @Test
    void queueThatIsNotStartedGivesNothing() {
        driver.enable(queue);
        driver.add(Buffer.toRead(DATA, 16));

        assertFalse(queue.take(chain));
    }

    @Test
    void chainHasWhatTheDriverPutIntoIt() {
        start(0);
        int head =
                driver.add(
                        Buffer.toRead(DATA, 16),
                        Buffer.toRead(DATA + 0x100, 512),
                        Buffer.toWrite(DATA + 0x400, 1));

        take();

        assertEquals(head, chain.head());
        assertEquals(528, chain.readable().size());
        assertEquals(2, chain.readable().count());
        assertEquals(DATA + 0x100, chain.readable().address(1));
        assertEquals(512, chain.readable().length(1));
        assertEquals(1, chain.writable().size());
        assertFalse(queue.take(chain), "there was one only");
    }

    @Test
    void indirectTableIsTheSame() {
        start(BOTH);
        int head =
                driver.addIndirect(
                        TABLE, Buffer.toRead(DATA, 16), Buffer.toWrite(DATA + 0x400, 512));

        take();

        assertEquals(head, chain.head());
        assertEquals(16, chain.readable().size());
        assertEquals(512, chain.writable().size());
        assertEquals(DATA + 0x400, chain.writable().address(0));
    }

    @Test
    void directDescriptorsMayEndInAnIndirectTable() {
        start(BOTH);
        driver.write(TABLE, 0, DATA + 0x100, 8, GuestDriver.WRITE, 0);
        driver.descriptor(0, DATA, 16, GuestDriver.NEXT, 1);
        // that the table is to be written has no meaning
        driver.descriptor(1, TABLE, 16, GuestDriver.INDIRECT | GuestDriver.WRITE, 0);
        driver.offer(0);

        take();

        assertEquals(16, chain.readable().size());
        assertEquals(8, chain.writable().size());
    }

    @Test
    void emptyBuffersAreNothing() {
        start(0);
        driver.add(Buffer.toRead(DATA, 0), Buffer.toRead(DATA, 4), Buffer.toWrite(-1L, 0));

        take();

        assertEquals(1, chain.readable().count());
        assertEquals(0, chain.writable().size());
    }

    @Test
    void completedRequestIsInTheUsedRing() {
        start(0);
        int first = driver.add(Buffer.toWrite(DATA, 16));
        int second = driver.add(Buffer.toWrite(DATA + 16, 16));
        take();
        var other = new DescriptorChain(memory);
        assertTrue(queue.take(other));

        queue.complete(other, 5); // in any order
        queue.complete(chain, 16);

        assertEquals(List.of(new Used(second, 5), new Used(first, 16)), driver.collect());
    }

    @Test
    void ringsGoRoundForEver() {
        start(BOTH);
        for (int i = 0; i < 70_000; i++) {
            int head = driver.add(Buffer.toRead(DATA, 4), Buffer.toWrite(DATA + 8, 4));
            take();
            queue.complete(chain, 4);
            assertEquals(List.of(new Used(head, 4)), driver.collect());
        }
    }

    @Test
    void withoutEventIndexEachIsToldOfUnlessTheDriverSaysOtherwise() {
        start(0);
        driver.add(Buffer.toRead(DATA, 4));
        driver.add(Buffer.toRead(DATA, 4));
        take();
        queue.complete(chain, 0);
        assertEquals(1, interrupts);

        driver.setAvailableFlags(1); // VIRTQ_AVAIL_F_NO_INTERRUPT
        take();
        queue.complete(chain, 0);
        assertEquals(1, interrupts);
    }

    @Test
    void withEventIndexTheDriverIsToldOfTheEntryThatItWants() {
        start(BOTH);
        driver.setUsedEvent(2);
        for (int i = 0; i < 4; i++) {
            driver.add(Buffer.toRead(DATA, 4));
            take();
            queue.complete(chain, 0);
            assertEquals(i < 2 ? 0 : 1, interrupts, "after entry " + i);
        }
    }

    @Test
    void deviceSaysAtWhichEntryItWantsToBeRung() {
        start(BOTH);
        driver.add(Buffer.toRead(DATA, 4));
        driver.add(Buffer.toRead(DATA, 4));
        take();

        assertTrue(queue.awaitRequest(), "there is one more");
        assertEquals(1, driver.availableEvent());
        take();
        assertFalse(queue.awaitRequest());
        assertEquals(2, driver.availableEvent());
    }

    @Test
    void afterStopNothingIsTakenAndNothingUsed() {
        start(BOTH);
        driver.add(Buffer.toRead(DATA, 4));
        driver.add(Buffer.toRead(DATA, 4));
        take();

        queue.stop();
        queue.complete(chain, 0);

        assertFalse(queue.take(chain));
        assertEquals(0, driver.usedIndex());
        assertEquals(0, interrupts);
    }

    @Test
    void registersDoNotChangeWhileItIsEnabled() {
        start(0);
        queue.setSize(2);
        queue.setAddress(VirtQueue.Part.DESCRIPTORS, 0);
        queue.setAddress(VirtQueue.Part.AVAILABLE, 0);
        queue.setAddress(VirtQueue.Part.USED, 0);

        assertEquals(SIZE, queue.size());
        assertEquals(driver.descriptors, queue.address(VirtQueue.Part.DESCRIPTORS));
        assertEquals(driver.available, queue.address(VirtQueue.Part.AVAILABLE));
        assertEquals(driver.used, queue.address(VirtQueue.Part.USED));
    }

    @Test
    void queueGoesOnFromItsState() {
        start(BOTH);
        driver.add(Buffer.toRead(DATA, 4));
        take();
        queue.complete(chain, 0);
        driver.collect();

        var other = new VirtQueue(memory, 0, SIZE, () -> interrupts++, null);
        other.persist(StateFields.restoring(saved(queue), 0));
        other.start(BOTH);
        int head = driver.add(Buffer.toRead(DATA, 4));
        assertTrue(other.take(chain));
        other.complete(chain, 0);

        assertEquals(List.of(new Used(head, 0)), driver.collect());
    }

    private static Map<String, Object> saved(VirtQueue queue) {
        var state = StateFields.saving();
        queue.persist(state);
        return new HashMap<>(state.saved());
    }

    @ParameterizedTest
    @CsvSource({
        "size, 3",
        "size, 65536",
        "size, -1",
        "nextAvailable, 65536",
        "nextUsed, -1",
        "descriptors, 1",
        "used, 0x7ffffffffffffff0",
        "available, -2"
    })
    void stateThatCannotBeIsRefused(String field, String value) {
        start(BOTH);
        Map<String, Object> state = saved(queue);
        state.put(field, Long.decode(value));

        assertThrows(StateException.class, () -> queue.persist(StateFields.restoring(state, 0)));
    }

    /// A driver may write any size, and is told of it when it enables the queue.
    @Test
    void queueThatIsNotEnabledKeepsWhateverIsInItsRegisters() {
        queue.setSize(3);
        queue.setAddress(VirtQueue.Part.USED, 7);
        var other = new VirtQueue(memory, 0, SIZE, () -> interrupts++, null);

        other.persist(StateFields.restoring(saved(queue), 0));

        assertEquals(3, other.size());
        assertEquals(7, other.address(VirtQueue.Part.USED));
        assertFalse(other.isReady());
    }

    @Test
    void heldQueueGivesNothingUntilItIsReleased() throws InterruptedException {
        start(BOTH);
        driver.add(Buffer.toRead(DATA, 4));
        driver.add(Buffer.toRead(DATA, 4));
        take();

        queue.hold();

        assertFalse(queue.take(new DescriptorChain(memory)));
        assertFalse(queue.awaitRequest());
        assertFalse(queue.awaitIdle(System.nanoTime()), "one has been taken");
        queue.complete(chain, 0);
        assertTrue(queue.awaitIdle(System.nanoTime()));
        queue.release();
        take();
    }

    @Test
    void requestThatIsPutBackIsTakenAgain() throws InterruptedException {
        start(BOTH);
        int head = driver.add(Buffer.toRead(DATA, 4));
        take();

        queue.putBack();

        assertTrue(queue.awaitIdle(System.nanoTime()));
        take();
        assertEquals(head, chain.head());
        assertEquals(1, queue.requests());
    }

    @Test
    void numbersMayBeCutUpAnyhow() {
        start(0);
        memory.writeLe64(DATA, 0x1122_3344_5566_7788L);
        memory.writeByte(DATA + 0x100, 0x99);
        driver.add(
                Buffer.toRead(DATA, 3),
                Buffer.toRead(DATA + 3, 5),
                Buffer.toRead(DATA + 0x100, 1),
                Buffer.toWrite(DATA + 0x200, 2),
                Buffer.toWrite(DATA + 0x300, 2));
        take();

        assertEquals(0x1122_3344_5566_7788L, chain.readable().readLe64(0));
        assertEquals(0x5566_7788, chain.readable().readLe32(0));
        assertEquals(0x2233_4455, chain.readable().readLe32(3));
        assertEquals(0x99, chain.readable().readByte(8));
        var bytes = new byte[2];
        chain.readable().read(7, bytes);
        assertArrayEquals(new byte[] {0x11, (byte) 0x99}, bytes);
        chain.writable().write(1, new byte[] {5, 6});
        assertEquals(5, memory.readByte(DATA + 0x201));
        assertEquals(6, memory.readByte(DATA + 0x300));
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 1, 9, Long.MAX_VALUE, Long.MIN_VALUE})
    void bytesThatARequestHasNotAreAFault(long offset) {
        start(0);
        driver.add(Buffer.toRead(DATA, 8), Buffer.toWrite(DATA, 8));
        take();

        assertThrows(GuestFault.class, () -> chain.readable().readLe64(offset));
        assertThrows(GuestFault.class, () -> chain.writable().write(offset, new byte[8]));
    }

    @Test
    void requestAllocatesNothing() {
        start(BOTH);
        var buffers =
                new Buffer[] {
                    Buffer.toRead(DATA, 16), Buffer.toWrite(DATA, 512), Buffer.toWrite(DATA, 1)
                };
        driver.addIndirect(TABLE, buffers);
        take();
        queue.complete(chain, 1);
        var round =
                new Runnable() {
                    private int count = 1;

                    @Override
                    public void run() {
                        driver.memory.writeLe16(driver.available + 4 + 2L * (count % SIZE), 0);
                        count++;
                        driver.setAvailableIndex(count);
                        queue.take(chain);
                        chain.readable().readLe64(8);
                        chain.writable().writeByte(512, 0);
                        queue.complete(chain, 513);
                        queue.awaitRequest();
                    }
                };

        assertEquals(0, Host.allocatedBytes(round));
    }

    @Test
    void requestsInFlightAreWhatTheDriverAskedFor() {
        start(BOTH);
        for (long seed = 0; seed < 20; seed++) {
            RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
            var waiting = new ArrayDeque<Integer>();
            var flying = new ArrayList<DescriptorChain>();
            for (int i = 0; i < 1000; i++) {
                switch (random.nextInt(3)) {
                    case 0 -> {
                        if (waiting.size() + flying.size() < SIZE) {
                            waiting.add(driver.add(Buffer.toRead(DATA, 1 + random.nextInt(9))));
                        }
                    }
                    case 1 -> {
                        var taken = new DescriptorChain(memory);
                        assertEquals(!waiting.isEmpty(), queue.take(taken), "seed " + seed);
                        if (!waiting.isEmpty()) {
                            assertEquals(waiting.remove(), taken.head(), "seed " + seed);
                            flying.add(taken);
                        }
                    }
                    default -> {
                        if (!flying.isEmpty()) {
                            DescriptorChain done = flying.remove(random.nextInt(flying.size()));
                            queue.complete(done, i);
                            assertEquals(
                                    List.of(new Used(done.head(), i)),
                                    driver.collect(),
                                    "seed " + seed);
                        }
                    }
                }
            }
            driver.restart();
            queue.reset();
            start(BOTH);
        }
    }
}
