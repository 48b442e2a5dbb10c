package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LoopTimerTest {
    private static final long AN_HOUR = TimeUnit.HOURS.toNanos(1);

    private final CompletableFuture<Throwable> bug = new CompletableFuture<>();
    private EventLoop loop;
    private LoopTimer timer;

    @BeforeEach
    void open() throws Exception {
        loop = EventLoop.start("timer test", bug::complete);
        timer = LoopTimer.open(loop, "test timer");
    }

    @AfterEach
    void close() {
        loop.close();
        timer.close();
        assertTrue(!bug.isDone(), () -> "a bug: " + bug.join());
    }

    private static String await(CompletableFuture<String> future) throws Exception {
        return future.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    @Test
    void taskIsCalledOnTheLoopsThread() throws Exception {
        var called = new CompletableFuture<String>();

        timer.set(1_000_000, () -> called.complete(Thread.currentThread().getName()));

        assertEquals("timer test", await(called));
    }

    @Test
    void delayOfZeroAndLessIsAtOnce() throws Exception {
        var called = new CompletableFuture<String>();
        var calledAgain = new CompletableFuture<String>();

        timer.set(0, () -> called.complete("now"));
        assertEquals("now", await(called));
        timer.set(Long.MIN_VALUE, () -> calledAgain.complete("now"));

        assertEquals("now", await(calledAgain));
    }

    @Test
    void laterTaskTakesThePlaceOfTheEarlier() throws Exception {
        var earlier = new AtomicInteger();
        var later = new CompletableFuture<String>();

        timer.set(AN_HOUR, earlier::incrementAndGet);
        timer.set(1, () -> later.complete("later"));

        assertEquals("later", await(later));
        assertEquals(0, earlier.get());
    }

    @Test
    void taskIsCalledOnce() throws Exception {
        var calls = new AtomicInteger();
        timer.set(1, calls::incrementAndGet);
        Host.until("called", () -> calls.get() == 1);

        var other = LoopTimer.open(loop, "other timer");
        var called = new CompletableFuture<String>();
        other.set(5_000_000, () -> called.complete("other"));
        await(called);

        assertEquals(1, calls.get());
        other.close();
    }

    @Test
    void cancelledTaskIsNotCalled() throws Exception {
        var calls = new AtomicInteger();
        timer.set(AN_HOUR, calls::incrementAndGet);

        timer.cancel();
        timer.cancel();
        var called = new CompletableFuture<String>();
        timer.set(1, () -> called.complete("next"));

        assertEquals("next", await(called));
        assertEquals(0, calls.get());
    }

    @Test
    void taskMaySetItsOwnTimer() throws Exception {
        var called = new CompletableFuture<String>();

        timer.set(1, () -> timer.set(1, () -> called.complete("twice")));

        assertEquals("twice", await(called));
    }
}
