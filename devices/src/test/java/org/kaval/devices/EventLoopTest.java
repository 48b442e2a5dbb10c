package org.kaval.devices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.linux.Epoll;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.linux.Fd;

class EventLoopTest {
    private static final String NAME = "tested-loop";

    private EventLoop loop;
    private EventFd event;
    private final AtomicInteger calls = new AtomicInteger();

    @BeforeEach
    void start() throws ErrnoException {
        loop = EventLoop.start(NAME, bug -> {});
        event = EventFd.create("event");
    }

    @AfterEach
    void stop() {
        if (Host.hasThread(NAME)) {
            loop.close();
        }
        event.close();
    }

    /// What runs on the loop's thread.
    private interface Action<T> {
        T run() throws ErrnoException;
    }

    private <T> T onLoop(Action<T> action) throws Exception {
        var result = new CompletableFuture<T>();
        loop.execute(() -> {
            try {
                result.complete(action.run());
            } catch (ErrnoException e) {
                result.completeExceptionally(e);
            }
        });
        return result.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    /// Returns when what was ready before has been dispatched.
    private void awaitIdle() throws Exception {
        awaitRound();
        awaitRound(); // in the first the descriptor of the test may have come behind the marker
    }

    /// A task may run in the round in which it is given; a descriptor needs one of its own.
    private void awaitRound() throws Exception {
        try (EventFd marker = EventFd.create("marker")) {
            var seen = new CompletableFuture<Boolean>();
            EventLoop.Registration registration =
                    onLoop(() ->
                            loop.register(
                                    marker.fd(),
                                    Epoll.IN,
                                    _ -> {
                                        marker.drain();
                                        seen.complete(true);
                                    }));
            marker.signal();
            seen.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS);
            onLoop(() -> {
                registration.cancel();
                return true;
            });
        }
    }

    private EventLoop.Registration registerCounter() throws Exception {
        return onLoop(() ->
                loop.register(
                        event.fd(),
                        Epoll.IN,
                        _ -> {
                            event.drain();
                            calls.incrementAndGet();
                        }));
    }

    @Test
    void readyDescriptorCallsItsHandlerOnTheLoopsThread() throws Exception {
        var threads = new CopyOnWriteArrayList<String>();
        var seen = new CopyOnWriteArrayList<Integer>();
        onLoop(() ->
                loop.register(
                        event.fd(),
                        Epoll.IN,
                        events -> {
                            event.drain();
                            seen.add(events);
                            threads.add(Thread.currentThread().getName());
                        }));

        event.signal();

        Host.until("the handler was called", () -> threads.size() == 1);
        assertEquals(List.of(NAME), threads);
        assertEquals(List.of(Epoll.IN), seen);
    }

    @Test
    void descriptorThatIsNotReadyCallsNobody() throws Exception {
        registerCounter();
        awaitIdle();

        assertEquals(0, calls.get());
    }

    @Test
    void eachSignalIsSeen() throws Exception {
        registerCounter();

        for (int i = 1; i <= 100; i++) {
            event.signal();
            int expected = i;
            Host.until("signal " + i, () -> calls.get() == expected);
        }
    }

    @Test
    void manyDescriptorsAreToldApart() throws Exception {
        var events = new ArrayList<EventFd>();
        var seen = new CopyOnWriteArrayList<Integer>();
        for (int i = 0; i < 200; i++) {
            events.add(registerNumbered(i, seen));
        }

        events.forEach(EventFd::signal);

        Host.until("all were called", () -> seen.stream().distinct().count() == 200);
        assertEquals(200, seen.size());
        loop.close();
        events.forEach(EventFd::close);
    }

    private EventFd registerNumbered(int number, List<Integer> seen) throws Exception {
        EventFd numbered = EventFd.create("event " + number);
        onLoop(() ->
                loop.register(
                        numbered.fd(),
                        Epoll.IN,
                        _ -> {
                            numbered.drain();
                            seen.add(number);
                        }));
        return numbered;
    }

    @Test
    void watchedForNothingCallsNobodyUntilWatchedAgain() throws Exception {
        EventLoop.Registration registration = registerCounter();
        onLoop(() -> {
            registration.watch(0);
            return true;
        });
        event.signal();
        awaitIdle();
        assertEquals(0, calls.get());

        onLoop(() -> {
            registration.watch(Epoll.IN);
            return true;
        });

        Host.until("the handler was called", () -> calls.get() == 1);
    }

    @Test
    void watchedForOutputToldOfRoom() throws Exception {
        var seen = new CopyOnWriteArrayList<Integer>();
        var registration = new CompletableFuture<EventLoop.Registration>();
        registration.complete(
                onLoop(() ->
                        loop.register(
                                event.fd(),
                                Epoll.OUT,
                                events -> {
                                    seen.add(events);
                                    registration.join().cancel();
                                })));

        Host.until("the handler was called", () -> !seen.isEmpty());
        assertEquals(List.of(Epoll.OUT), seen);
    }

    @Test
    void cancelledDescriptorCallsNobodyAndStaysOpen() throws Exception {
        EventLoop.Registration registration = registerCounter();
        onLoop(() -> {
            registration.cancel();
            return true;
        });

        event.signal();
        awaitIdle();

        assertEquals(0, calls.get());
        assertEquals(1, event.drain());
    }

    @Test
    void cancellingTwiceIsHarmless() throws Exception {
        EventLoop.Registration registration = registerCounter();

        onLoop(() -> {
            registration.cancel();
            registration.cancel();
            return true;
        });

        event.signal();
        awaitIdle();
        assertEquals(0, calls.get());
    }

    @Test
    void cancelledDescriptorCanBeRegisteredAgain() throws Exception {
        EventLoop.Registration registration = registerCounter();
        onLoop(() -> {
            registration.cancel();
            return true;
        });
        registerCounter();

        event.signal();

        Host.until("the handler was called", () -> calls.get() == 1);
    }

    /// Two are ready in the same round; whichever comes first takes the other away.
    @Test
    void handlerThatCancelsTheOtherOfTheSameRoundKeepsItFromBeingCalled() throws Exception {
        try (EventFd other = EventFd.create("other")) {
            var registrations = new ArrayList<EventLoop.Registration>();
            EventLoop.Handler cancelAll =
                    _ -> {
                        calls.incrementAndGet();
                        registrations.forEach(EventLoop.Registration::cancel);
                    };
            onLoop(() -> {
                registrations.add(loop.register(event.fd(), Epoll.IN, cancelAll));
                registrations.add(loop.register(other.fd(), Epoll.IN, cancelAll));
                event.signal();
                other.signal();
                return true;
            });
            awaitIdle();

            assertEquals(1, calls.get());
        }
    }

    @Test
    void handlerThatFailsIsReportedAndWatchedNoLonger() throws Exception {
        try (var log = new CapturedLog(EventLoop.class)) {
            onLoop(() ->
                    loop.register(
                            event.fd(),
                            Epoll.IN,
                            _ -> {
                                calls.incrementAndGet();
                                throw new ErrnoException("read", "a tap", Errno.ENODEV);
                            }));

            event.signal(); // and it stays signalled
            Host.until("the handler was called", () -> calls.get() > 0);
            awaitIdle();

            assertEquals(1, calls.get());
            assertEquals(List.of("read on a tap: ENODEV"), log.lines());
        }
    }

    @Test
    void regularFileIsRefusedAndLeavesNothingBehind(@TempDir Path directory) throws Exception {
        Path path = Files.createFile(directory.resolve("file"));
        try (Fd file = Fd.open(path, Fd.Access.READ)) {
            int errno =
                    onLoop(() -> {
                        try {
                            loop.register(file, Epoll.IN, _ -> {});
                            return 0;
                        } catch (ErrnoException e) {
                            return e.errno();
                        }
                    });

            assertEquals(Errno.EPERM, errno);
        }
        registerCounter();
        event.signal();
        Host.until("the loop goes on", () -> calls.get() == 1);
    }

    @Test
    void tasksOfOneThreadRunInOrder() throws Exception {
        var order = new ArrayList<Integer>(); // the loop's own
        for (int i = 0; i < 1000; i++) {
            int number = i;
            loop.execute(() -> order.add(number));
        }

        List<Integer> seen = onLoop(() -> List.copyOf(order));

        assertEquals(java.util.stream.IntStream.range(0, 1000).boxed().toList(), seen);
    }

    @Test
    void tasksOfManyThreadsAllRun() throws Exception {
        var threads = new ArrayList<Thread>();
        var count = new int[1]; // the loop's own: no lock
        for (int i = 0; i < 8; i++) {
            threads.add(Thread.ofPlatform().start(() -> executeOften(1000, () -> count[0]++)));
        }
        for (Thread thread : threads) {
            thread.join();
        }

        assertEquals(8000, onLoop(() -> count[0]));
    }

    private void executeOften(int times, Runnable task) {
        for (int i = 0; i < times; i++) {
            loop.execute(task);
        }
    }

    @Test
    void taskMayExecuteAnother() throws Exception {
        var done = new CountDownLatch(1);

        loop.execute(() -> loop.execute(done::countDown));

        assertTrue(done.await(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
    }

    @Test
    void closeEndsTheThread() {
        assertTrue(Host.hasThread(NAME));

        loop.close();

        assertFalse(Host.hasThread(NAME));
    }

    @Test
    void closeDropsTasksThatWait() throws Exception {
        var entered = new CountDownLatch(1);
        var leave = new CountDownLatch(1);
        var ran = new AtomicBoolean();
        loop.execute(() -> {
            entered.countDown();
            awaitQuietly(leave);
        });
        entered.await();
        loop.execute(() -> ran.set(true));

        Thread closing = Thread.ofPlatform().start(loop::close);
        Host.until("close waits", () -> closing.getState() == Thread.State.WAITING);
        leave.countDown();
        assertTrue(closing.join(Host.LIMIT));

        assertFalse(ran.get());
        assertFalse(Host.hasThread(NAME));
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void closeOfAnInterruptedThreadStillWaitsAndKeepsTheInterrupt() {
        boolean interrupted =
                assertTimeoutPreemptively(
                        Host.LIMIT,
                        () -> {
                            Thread.currentThread().interrupt();
                            loop.close();
                            return Thread.interrupted();
                        });

        assertTrue(interrupted);
        assertFalse(Host.hasThread(NAME));
    }

    @Test
    void closingTwiceIsHarmless() {
        loop.close();
        loop.close();

        assertFalse(Host.hasThread(NAME));
    }

    @Test
    void taskAfterCloseIsDropped() {
        loop.close();

        loop.execute(calls::incrementAndGet);

        assertEquals(0, calls.get());
    }

    /// A console's reader executes on the loop from a vCPU's thread, whatever another closes.
    @Test
    void executeWhileAnotherThreadClosesNeverFails() throws Exception {
        var failures = new CopyOnWriteArrayList<Throwable>();
        for (int i = 0; i < 300; i++) {
            EventLoop closed = EventLoop.start("raced-loop", bug -> {});
            var stop = new AtomicBoolean();
            Thread executing =
                    Thread.ofPlatform()
                            .uncaughtExceptionHandler((_, failure) -> failures.add(failure))
                            .start(() -> {
                                while (!stop.get()) {
                                    closed.execute(() -> {});
                                }
                            });
            closed.close();
            stop.set(true);
            executing.join();
        }

        assertEquals(List.of(), failures);
    }

    @Test
    void closeGivesItsDescriptorsBack() throws Exception {
        long before = descriptors();
        for (int i = 0; i < 50; i++) {
            EventLoop.start("short-loop", bug -> {}).close();
        }

        assertEquals(before, descriptors());
    }

    private static long descriptors() throws Exception {
        try (var entries = Files.list(Path.of("/proc/self/fd"))) {
            return entries.count();
        }
    }
}
