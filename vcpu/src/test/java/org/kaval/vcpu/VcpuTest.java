package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kaval.vcpu.TinyGuest.Kind.IN;
import static org.kaval.vcpu.TinyGuest.Kind.OUT;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.testing.NeedsKvm;
import org.kaval.vcpu.TinyGuest.Access;

/// The life of a vCPU: paused, running, stopped, and asked from other threads. Needs any KVM.
@NeedsKvm
@Timeout(120)
class VcpuTest {
    private static final Duration LIMIT = Duration.ofSeconds(30);

    private static final String[] SPIN = {
        "fa", //             cli
        "66 ff 06 00 30", // again: inc dword [0x3000]
        "eb f9", //          jmp again
    };

    /// Hands on each answer, so that a lost or repeated one shows.
    private static final String[] ECHO = {
        "e4 10", // again: in al, 0x10
        "e6 11", // out 0x11, al
        "eb fa", // jmp again
    };

    private static final String[] READ_PORT = {
        "e4 10", // in al, 0x10
        "e6 11", // out 0x11, al
        "f4", //    hlt
    };

    @Test
    void vcpuBeginsPausedAndRunsNothing() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            assertEquals(Vcpu.State.PAUSED, guest.vcpu().state());
            assertEquals(0, guest.vcpu().index());
            assertEquals(TinyGuest.CODE, guest.regs().rip());
            assertEquals(0, guest.readInt(TinyGuest.DATA));
        }
    }

    @Test
    void spinningGuestWithInterruptsOffIsPaused() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            guest.vcpu().resume();
            awaitProgress(guest);

            guest.vcpu().pause();

            int paused = guest.readInt(TinyGuest.DATA);
            long rip = guest.regs().rip();
            assertEquals(Vcpu.State.PAUSED, guest.vcpu().state());
            assertTrue(rip == 0x1001 || rip == 0x1006, () -> "rip is 0x%x".formatted(rip));
            assertEquals(rip, guest.regs().rip());
            assertEquals(paused, guest.readInt(TinyGuest.DATA));
        }
    }

    @Test
    void pausedGuestGoesOnWhenItIsResumed() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            guest.vcpu().resume();
            awaitProgress(guest);
            guest.vcpu().pause();

            guest.vcpu().resume();
            awaitProgress(guest);

            assertEquals(Vcpu.State.RUNNING, guest.vcpu().state());
        }
    }

    @Test
    void registersAreReadWhileTheGuestRunsAndItGoesOn() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            guest.vcpu().resume();
            awaitProgress(guest);

            long rip = guest.regs().rip();
            awaitProgress(guest);

            assertTrue(rip == 0x1001 || rip == 0x1006, () -> "rip is 0x%x".formatted(rip));
            assertEquals(Vcpu.State.RUNNING, guest.vcpu().state());
            assertNotEquals(0, guest.vcpu().statistics().counts().get("kicked"));
        }
    }

    @Test
    void pauseOfAPausedGuestReturnsAtOnce() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            guest.vcpu().pause();
            guest.vcpu().pause();

            assertEquals(Vcpu.State.PAUSED, guest.vcpu().state());
        }
    }

    @Test
    void pauseThatFollowsAResumeAtOnceIsNotOvertaken() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            for (int round = 0; round < 500; round++) {
                guest.vcpu().resume();
                guest.vcpu().pause();
                long rip = guest.regs().rip();
                int counter = guest.readInt(TinyGuest.DATA);

                assertEquals(Vcpu.State.PAUSED, guest.vcpu().state());
                assertEquals(rip, guest.regs().rip());
                assertEquals(counter, guest.readInt(TinyGuest.DATA));
            }
        }
    }

    @Test
    void pauseAskedForWhileAPortIsReadComesAfterTheInstruction() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, READ_PORT)) {
            guest.answer(_ -> {
                guest.vcpu().requestPause();
                return 0x5aL;
            });

            guest.vcpu().resume();
            guest.awaitPauseAfterAccess();

            assertEquals(List.of(new Access(IN, 0x10, 1, 0x5a)), guest.accesses());
            assertEquals(TinyGuest.CODE + 2, guest.regs().rip());
            assertEquals(0x5a, guest.regs().rax());
        }
    }

    @Test
    void noAccessIsLostOrRepeatedByPauses() throws Exception {
        var next = new AtomicInteger();
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, ECHO)) {
            guest.answer(access -> access.kind() == IN ? (long) next.getAndIncrement() & 0xff : 0L);

            for (int round = 0; round < 300; round++) {
                guest.vcpu().resume();
                guest.regs();
                guest.vcpu().pause();
            }

            assertEquals(echoes(guest.accesses().size()), guest.accesses());
        }
    }

    @Test
    void stopIsForGood() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            guest.vcpu().resume();
            awaitProgress(guest);

            boolean stopped = guest.vcpu().stop(LIMIT);
            int counter = guest.readInt(TinyGuest.DATA);
            guest.vcpu().resume();
            guest.vcpu().pause();

            assertTrue(stopped);
            assertEquals(Vcpu.State.STOPPED, guest.vcpu().state());
            assertEquals(counter, guest.readInt(TinyGuest.DATA));
            assertTrue(guest.vcpu().stop(Duration.ZERO));
        }
    }

    @Test
    void pausedGuestIsStopped() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            assertTrue(guest.vcpu().stop(LIMIT));

            assertEquals(Vcpu.State.STOPPED, guest.vcpu().state());
            assertEquals(0, guest.readInt(TinyGuest.DATA));
        }
    }

    @Test
    void stopSaysIfTheLimitWasTooShort() throws Exception {
        var release = new CountDownLatch(1);
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, READ_PORT)) {
            var entered = new CountDownLatch(1);
            guest.answer(_ -> block(entered, release));
            guest.vcpu().resume();
            entered.await();

            boolean early = guest.vcpu().stop(Duration.ofMillis(1));
            release.countDown();
            boolean late = guest.vcpu().stop(LIMIT);

            assertFalse(early);
            assertTrue(late);
            assertEquals(1, guest.accesses().size()); // the next instruction is not begun
        }
    }

    @Test
    void stoppedVcpuRefusesCalls() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            guest.vcpu().stop(LIMIT);

            var refusal =
                    assertThrows(IllegalStateException.class, () -> guest.vcpu().call(_ -> true));

            assertEquals("vcpu-0 is stopped", refusal.getMessage());
        }
    }

    @Test
    void taskRunsOnTheVcpusThread() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            Thread thread = guest.vcpu().call(_ -> Thread.currentThread());

            assertEquals("vcpu-0", thread.getName());
            assertTrue(thread.isDaemon());
            assertFalse(thread.isVirtual());
        }
    }

    @Test
    void callFromATaskOrHandlerRunsAtOnce() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, READ_PORT)) {
            guest.answer(_ -> uncheckedRip(guest) & 0xff);

            int nested = guest.vcpu().call(_ -> callUninterrupted(guest, 42));
            guest.runToExit();

            assertEquals(42, nested);
            assertEquals(IN, guest.accesses().getFirst().kind());
        }
    }

    @Test
    void vcpuCannotWaitForItsOwnPause() throws Exception {
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            var refusal =
                    assertThrows(
                            IllegalStateException.class,
                            () -> guest.vcpu().call(_ -> pauseUninterrupted(guest)));

            assertEquals("vcpu-0 cannot wait for itself", refusal.getMessage());
        }
    }

    @Test
    void failureOfATaskIsItsCallersAndTheVcpuLivesOn() throws Exception {
        var refused = new IOException("refused");
        var bug = new IllegalArgumentException("bug");
        var error = new AssertionError("error");
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, SPIN)) {
            guest.vcpu().resume();

            assertSame(
                    refused,
                    failureOfCall(
                            guest,
                            _ -> {
                                throw refused;
                            }));
            assertSame(
                    bug,
                    failureOfCall(
                            guest,
                            _ -> {
                                throw bug;
                            }));
            assertSame(
                    error,
                    failureOfCall(
                            guest,
                            _ -> {
                                throw error;
                            }));

            awaitProgress(guest);
            assertEquals(Vcpu.State.RUNNING, guest.vcpu().state());
        }
    }

    @Test
    void exceptionOfAHandlerIsReportedAndEndsTheThread() throws Exception {
        var bug = new IllegalArgumentException("bug");
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, READ_PORT)) {
            guest.answer(_ -> {
                throw bug;
            });

            guest.vcpu().resume();

            assertSame(bug, guest.bug());
            assertTrue(guest.vcpu().stop(LIMIT));
            assertEquals(Vcpu.State.STOPPED, guest.vcpu().state());
            assertThrows(IllegalStateException.class, () -> guest.vcpu().call(_ -> true));
        }
    }

    @Test
    void errorOfAHandlerIsReportedToo() throws Exception {
        var error = new StackOverflowError();
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, "f4")) { // hlt
            guest.goOnAfter(_ -> {
                throw error;
            });

            guest.vcpu().resume();

            assertSame(error, guest.bug());
        }
    }

    @Test
    void callThatWaitsForABrokenVcpuIsRefused() throws Exception {
        var entered = new CountDownLatch(1);
        var release = new CountDownLatch(1);
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, READ_PORT)) {
            guest.answer(_ -> {
                block(entered, release);
                throw new IllegalArgumentException("bug");
            });
            guest.vcpu().resume();
            entered.await();
            var result = new CompletableFuture<Throwable>();
            Thread caller =
                    Thread.ofPlatform()
                            .start(() -> result.complete(failureOfCall(guest, _ -> true)));
            awaitBlocked(caller);

            release.countDown();

            assertEquals("vcpu-0 is stopped", result.get().getMessage());
            caller.join();
        }
    }

    @Test
    void pauseThatWaitsForABrokenVcpuReturns() throws Exception {
        var entered = new CountDownLatch(1);
        var release = new CountDownLatch(1);
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, READ_PORT)) {
            guest.answer(_ -> {
                block(entered, release);
                throw new IllegalArgumentException("bug");
            });
            guest.vcpu().resume();
            entered.await();
            Thread caller = Thread.ofPlatform().start(() -> pauseUnchecked(guest));
            awaitBlocked(caller);

            release.countDown();

            assertTrue(caller.join(LIMIT));
            assertEquals(Vcpu.State.STOPPED, guest.vcpu().state());
        }
    }

    @Test
    void tasksAskedForBeforeTheStopAreDone() throws Exception {
        var entered = new CountDownLatch(1);
        var release = new CountDownLatch(1);
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, READ_PORT);
                ExecutorService executor = Executors.newSingleThreadExecutor()) {
            guest.answer(_ -> block(entered, release));
            guest.vcpu().resume();
            entered.await();
            var caller = new CompletableFuture<Thread>();
            Future<Integer> result =
                    executor.submit(() -> {
                        caller.complete(Thread.currentThread());
                        return guest.vcpu().call(_ -> 42);
                    });
            awaitBlocked(caller.get());

            guest.vcpu().requestStop();
            release.countDown();

            assertEquals(42, result.get());
            assertTrue(guest.vcpu().stop(LIMIT));
        }
    }

    /// The counts are below those of the long stress test, and the garbage collector stops all
    /// threads meanwhile, this one, the vCPU's, and those that ask.
    @Test
    void nothingIsLostWhenThreeThreadsAskAtOnce() throws Exception {
        int threads = 3;
        int cycles = 667;
        var next = new AtomicInteger();
        try (TinyGuest guest = TinyGuest.of(TinyGuest.REAL16, ECHO);
                ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            guest.answer(access -> access.kind() == IN ? (long) next.getAndIncrement() & 0xff : 0L);

            List<Future<Integer>> askers =
                    IntStream.range(0, threads)
                            .mapToObj(t -> executor.submit(() -> ask(guest, t, cycles)))
                            .toList();

            assertEquals(
                    List.of(cycles, cycles, cycles),
                    askers.stream().map(VcpuTest::resultOf).toList());
            guest.vcpu().pause();
            assertEquals(Vcpu.State.PAUSED, guest.vcpu().state());
            assertEquals(echoes(guest.accesses().size()), guest.accesses());
            guest.vcpu().resume();
            awaitMoreAccesses(guest);
        }
    }

    /// Pauses, resumes and calls; returns how many calls gave what they should.
    private static int ask(TinyGuest guest, int thread, int cycles)
            throws IOException, InterruptedException {
        int right = 0;
        for (int cycle = 0; cycle < cycles; cycle++) {
            int expected = thread * cycles + cycle;
            guest.vcpu().pause();
            guest.vcpu().resume();
            right += guest.vcpu().call(_ -> expected) == expected ? 1 : 0;
            if (cycle % 50 == thread) {
                System.gc();
            }
        }
        return right;
    }

    /// The first `count` accesses of a guest that runs {@link #ECHO}.
    private static List<Access> echoes(int count) {
        return IntStream.range(0, count)
                .mapToObj(i ->
                        i % 2 == 0
                                ? new Access(IN, 0x10, 1, i / 2 & 0xff)
                                : new Access(OUT, 0x11, 1, i / 2 & 0xff))
                .toList();
    }

    private static <T> T resultOf(Future<T> future) {
        try {
            return future.get();
        } catch (InterruptedException | ExecutionException e) {
            throw new AssertionError(e);
        }
    }

    private static long block(CountDownLatch entered, CountDownLatch release) {
        entered.countDown();
        try {
            release.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        return 0;
    }

    private static Throwable failureOfCall(TinyGuest guest, Vcpu.Task<Boolean> task) {
        try {
            guest.vcpu().call(task);
        } catch (Throwable failure) {
            return failure;
        }
        return new AssertionError("the call did not fail");
    }

    private static int callUninterrupted(TinyGuest guest, int value) throws IOException {
        try {
            return guest.vcpu().call(_ -> value);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static long uncheckedRip(TinyGuest guest) {
        try {
            return guest.regs().rip();
        } catch (IOException | InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static boolean pauseUninterrupted(TinyGuest guest) {
        pauseUnchecked(guest);
        return true;
    }

    private static void pauseUnchecked(TinyGuest guest) {
        try {
            guest.vcpu().pause();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static void awaitProgress(TinyGuest guest) {
        int counter = guest.readInt(TinyGuest.DATA);
        TinyGuest.await(() -> guest.readInt(TinyGuest.DATA) != counter);
    }

    private static void awaitMoreAccesses(TinyGuest guest) {
        int count = guest.accesses().size();
        TinyGuest.await(() -> guest.accesses().size() > count);
    }

    private static void awaitBlocked(Thread thread) {
        TinyGuest.await(() -> thread.getState() == Thread.State.WAITING);
    }
}
