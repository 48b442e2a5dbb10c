package org.kaval.devices;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ByteQueueTest {
    private static final int CAPACITY = 4;

    private final ByteQueue queue = new ByteQueue(CAPACITY);

    private static byte[] ascii(String text) {
        return text.getBytes(US_ASCII);
    }

    private String takeText(int atMost) throws InterruptedException {
        byte[] into = new byte[atMost];
        int count = queue.take(into);
        return new String(into, 0, count, US_ASCII);
    }

    @Test
    void newOneIsEmpty() {
        assertTrue(queue.isEmpty());
        assertFalse(queue.isFull());
        assertEquals(CAPACITY, queue.room());
        assertEquals(-1, queue.poll());
    }

    @Test
    void takesAsManyAsItsCapacity() {
        assertEquals(CAPACITY, queue.offer(ascii("abcdef"), 0, 6));

        assertTrue(queue.isFull());
        assertEquals(0, queue.room());
        assertFalse(queue.offer((byte) 'x'));
    }

    @Test
    void takesOnlyTheRangeItIsGiven() throws InterruptedException {
        assertEquals(2, queue.offer(ascii("abcdef"), 3, 5));

        assertEquals("de", takeText(9));
    }

    @Test
    void bytesAreUnsigned() {
        queue.offer((byte) 0xff);

        assertEquals(0xff, queue.poll());
    }

    @Test
    void takeAcrossTheEndOfTheRingKeepsTheOrder() throws InterruptedException {
        queue.offer(ascii("abc"), 0, 3);
        assertEquals("ab", takeText(2));
        queue.offer(ascii("def"), 0, 3);

        assertEquals("cdef", takeText(9));
        assertTrue(queue.isEmpty());
    }

    @Test
    void takeLeavesWhatDoesNotFit() throws InterruptedException {
        queue.offer(ascii("abcd"), 0, 4);

        assertEquals("abc", takeText(3));
        assertEquals(1, CAPACITY - queue.room());
        assertEquals("d", takeText(3));
    }

    @Test
    void closedOneTakesNothingMoreAndGivesWhatItHas() throws InterruptedException {
        queue.offer(ascii("ab"), 0, 2);
        queue.close();

        assertFalse(queue.offer((byte) 'c'));
        assertEquals("ab", takeText(9));
        assertEquals("", takeText(9));
        assertEquals(-1, queue.poll());
    }

    @Test
    void closingTwiceIsHarmless() throws InterruptedException {
        queue.close();
        queue.close();

        assertEquals("", takeText(1));
    }

    @Test
    void takeWaitsForAByte() throws Exception {
        FutureTask<String> taking = startTaking();

        queue.offer((byte) 'z');

        assertEquals("z", taking.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
    }

    @Test
    void closeWakesWhoTakes() throws Exception {
        FutureTask<String> taking = startTaking();

        queue.close();

        assertEquals("", taking.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
    }

    @Test
    void interruptWakesWhoTakes() throws Exception {
        var taking = new FutureTask<>(() -> takeText(1));
        Thread thread = Thread.ofPlatform().daemon().start(taking);
        Host.until("it waits", () -> thread.getState() == Thread.State.WAITING);

        thread.interrupt();

        var failure =
                assertThrows(
                        ExecutionException.class,
                        () -> taking.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
        assertInstanceOf(InterruptedException.class, failure.getCause());
    }

    private FutureTask<String> startTaking() throws Exception {
        var taking = new FutureTask<>(() -> takeText(9));
        Thread thread = Thread.ofPlatform().daemon().start(taking);
        Host.until("it waits", () -> thread.getState() == Thread.State.WAITING);
        return taking;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void doesWhatAQueueDoes(long seed) throws InterruptedException {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);

        assertEquals(List.of(), differencesFromAModel(random), () -> "seed " + seed);
    }

    private List<String> differencesFromAModel(RandomGenerator random) throws InterruptedException {
        var small = new ByteQueue(random.nextInt(1, 20));
        int capacity = small.room();
        var model = new ArrayDeque<Byte>();
        var differences = new ArrayList<String>();
        for (int i = 0; i < 20_000; i++) {
            String difference =
                    switch (random.nextInt(4)) {
                        case 0 -> offerOne(small, model, capacity, (byte) i);
                        case 1 -> offerSome(small, model, capacity, random);
                        case 2 -> pollOne(small, model);
                        default -> takeSome(small, model, random);
                    };
            boolean sameSize = small.room() == capacity - model.size();
            if (!difference.isEmpty() || !sameSize) {
                differences.add("step %d: %s, room %d".formatted(i, difference, small.room()));
            }
        }
        return differences;
    }

    private static String offerOne(
            ByteQueue queue, ArrayDeque<Byte> model, int capacity, byte value) {
        boolean expected = model.size() < capacity;
        if (expected) {
            model.add(value);
        }
        return queue.offer(value) == expected ? "" : "offer";
    }

    private static String offerSome(
            ByteQueue queue, ArrayDeque<Byte> model, int capacity, RandomGenerator random) {
        byte[] bytes = new byte[random.nextInt(8)];
        random.nextBytes(bytes);
        int expected = Math.min(bytes.length, capacity - model.size());
        for (int i = 0; i < expected; i++) {
            model.add(bytes[i]);
        }
        return queue.offer(bytes, 0, bytes.length) == expected ? "" : "offer of several";
    }

    private static String pollOne(ByteQueue queue, ArrayDeque<Byte> model) {
        Byte next = model.poll();
        int expected = next == null ? -1 : Byte.toUnsignedInt(next);
        return queue.poll() == expected ? "" : "poll";
    }

    private static String takeSome(ByteQueue queue, ArrayDeque<Byte> model, RandomGenerator random)
            throws InterruptedException {
        if (model.isEmpty()) {
            return ""; // it would wait
        }
        byte[] into = new byte[random.nextInt(1, 8)];
        int count = queue.take(into);
        if (count != Math.min(into.length, model.size())) {
            return "take: " + count;
        }
        for (int i = 0; i < count; i++) {
            if (into[i] != model.remove()) {
                return "take: byte " + i;
            }
        }
        return "";
    }

    @Test
    void bytesOfOneThreadArriveInOrderAtAnother() throws Exception {
        byte[] sent = new byte[200_000];
        RandomGeneratorFactory.of("L64X128MixRandom").create(7).nextBytes(sent);
        CompletableFuture<byte[]> received =
                CompletableFuture.supplyAsync(() -> takeAll(sent.length));

        offerAll(sent);

        assertArrayEquals(sent, received.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
    }

    private void offerAll(byte[] bytes) {
        int sent = 0;
        while (sent < bytes.length) {
            int taken = queue.offer(bytes, sent, bytes.length);
            sent += taken;
            if (taken == 0) {
                Thread.onSpinWait();
            }
        }
    }

    private byte[] takeAll(int length) {
        byte[] all = new byte[length];
        int received = 0;
        try {
            byte[] some = new byte[3];
            while (received < length) {
                int count = queue.take(some);
                System.arraycopy(some, 0, all, received, count);
                received += count;
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        return all;
    }

    @Test
    void offerAndPollAllocateNothing() {
        long bytes =
                Host.allocatedBytes(() -> {
                    queue.offer((byte) 1);
                    queue.poll();
                });

        assertEquals(0, bytes);
    }
}
