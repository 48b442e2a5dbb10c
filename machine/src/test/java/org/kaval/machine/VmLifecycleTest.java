package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.kvm.KvmRegs;
import org.kaval.machine.boot.BootSource;
import org.kaval.testing.NeedsKvm;

/// Starting, pausing, stopping and closing.
@NeedsKvm
class VmLifecycleTest {
    private static final long MEMORY = 16 << 20;

    // struct pvclock_vcpu_time_info (Linux, pvclock-abi.h)
    private static final int CLOCK_FLAGS = 29;
    private static final int GUEST_STOPPED = 1 << 1;

    private static final Duration SHORT = Duration.ofMillis(50);

    private static Vm build(BootSource source) throws IOException {
        return Vm.builder().memory(MEMORY).boot(source).build();
    }

    private static long counter(Vm vm) {
        return vm.memory().readLe64(Guests.COUNTER);
    }

    private static void awaitCounterAbove(Vm vm, long value) throws Exception {
        Host.until("the guest counts", () -> counter(vm) > value);
    }

    private static void assertRefused(String message, Executable call) {
        assertEquals(message, assertThrows(IllegalStateException.class, call).getMessage());
    }

    static List<BootSource> endlessGuests() {
        return List.of(Guests.spins(), Guests.halts());
    }

    @Test
    void guestThatHaltsForGoodHasEnded() throws Exception {
        try (Vm vm = build(Guests.halts())) {
            vm.start();
            assertEquals(
                    new VmOutcome.Halted(),
                    assertTimeoutPreemptively(Host.LIMIT, () -> vm.awaitExit()));
        }
    }

    @Test
    void guestThatWaitsForAnInterruptHasNotEnded() throws Exception {
        try (Vm vm = build(Guests.waitsWithInterruptsOn())) {
            vm.start();
            // five looks of the halt watch
            assertEquals(new VmOutcome.TimedOut(), vm.awaitExit(Duration.ofSeconds(5)));
        }
    }

    /// Who makes a snapshot has it for as long as memory is copied.
    @Test
    void whetherItIsPausedIsToldWhileAnotherThreadHasTheMachine() throws Exception {
        try (Vm vm = build(Guests.halts())) {
            synchronized (vm) {
                CompletableFuture<Boolean> paused = CompletableFuture.supplyAsync(vm::isPaused);
                assertFalse(paused.get(Host.LIMIT.toNanos(), TimeUnit.NANOSECONDS));
            }
        }
    }

    @Test
    void guestIsToldThatItHasStoodStill() throws Exception {
        try (Vm vm = build(Guests.countsWithClock())) {
            vm.start();
            awaitCounterAbove(vm, 0);
            assertEquals(0, clockFlags(vm) & GUEST_STOPPED);

            vm.pause();
            vm.resume();

            Host.until("it is told", () -> (clockFlags(vm) & GUEST_STOPPED) != 0);
        }
    }

    private static int clockFlags(Vm vm) {
        return vm.memory().readByte(Guests.CLOCK + CLOCK_FLAGS);
    }

    @Test
    void pausedGuestThatHaltedEndsOnlyAfterItGoesOn() throws Exception {
        try (Vm vm = build(Guests.halts())) {
            vm.start();
            vm.pause();
            Thread.sleep(Duration.ofSeconds(4));
            assertEquals(Optional.empty(), vm.outcome());
            vm.resume();
            assertEquals(
                    new VmOutcome.Halted(),
                    assertTimeoutPreemptively(Host.LIMIT, () -> vm.awaitExit()));
        }
    }

    @Test
    void builderBuildsTheNextOneAfterARestart() throws Exception {
        VmBuilder builder = Vm.builder().memory(MEMORY).boot(Guests.exits(7));
        try (Vm first = builder.build()) {
            first.start();
            assertEquals(new VmOutcome.DebugExit(7), first.awaitExit(Host.LIMIT));
        }
        try (Vm second = builder.build()) {
            second.start();
            assertEquals(new VmOutcome.DebugExit(7), second.awaitExit(Host.LIMIT));
        }
    }

    @ParameterizedTest
    @MethodSource("endlessGuests")
    void guestWithInterruptsOffIsStopped(BootSource endless) throws Exception {
        try (Vm vm = build(endless)) {
            vm.start();
            Thread.sleep(SHORT);
            long begin = System.nanoTime();
            assertTimeoutPreemptively(Host.LIMIT, vm::stop);
            System.out.printf("stop: %d us%n", (System.nanoTime() - begin) / 1000);

            assertEquals(new VmOutcome.Stopped(), vm.awaitExit());
            assertEquals(Optional.of(new VmOutcome.Stopped()), vm.outcome());
        }
    }

    @ParameterizedTest
    @MethodSource("endlessGuests")
    void guestWithInterruptsOffIsStoppedAtItsTimeLimit(BootSource endless) throws Exception {
        try (Vm vm = build(endless)) {
            vm.start();

            VmOutcome outcome = assertTimeoutPreemptively(Host.LIMIT, () -> vm.awaitExit(SHORT));

            assertEquals(new VmOutcome.TimedOut(), outcome);
            assertEquals(Optional.of(new VmOutcome.TimedOut()), vm.outcome());
        }
    }

    @ParameterizedTest
    @MethodSource("endlessGuests")
    void closeStopsARunningGuest(BootSource endless) throws Exception {
        Host.Resources before = Host.Resources.now();
        Vm vm = build(endless);
        vm.start();

        assertTimeoutPreemptively(Host.LIMIT, vm::close);

        before.awaitAgain();
        assertEquals(Optional.of(new VmOutcome.Stopped()), vm.outcome());
    }

    @Test
    void guestThatHasEndedKeepsItsOutcome() throws Exception {
        try (Vm vm = build(Guests.exits(4))) {
            vm.start();
            vm.awaitExit(Host.LIMIT);

            vm.stop();

            assertEquals(new VmOutcome.DebugExit(4), vm.awaitExit());
            assertEquals(new VmOutcome.DebugExit(4), vm.awaitExit(Duration.ZERO));
        }
    }

    @Test
    void guestThatRunsHasNoOutcome() throws Exception {
        try (Vm vm = build(Guests.spins())) {
            assertEquals(Optional.empty(), vm.outcome());
            vm.start();
            assertEquals(Optional.empty(), vm.outcome());
        }
    }

    @Test
    void everyThreadThatWaitsHearsOfTheEnd() throws Exception {
        try (Vm vm = build(Guests.spins())) {
            vm.start();
            var waiting = new ArrayList<FutureTask<VmOutcome>>();
            for (int i = 0; i < 4; i++) {
                var task = new FutureTask<VmOutcome>(vm::awaitExit);
                waiting.add(task);
                Thread.ofPlatform().daemon().start(task);
            }

            vm.stop();

            for (FutureTask<VmOutcome> task : waiting) {
                assertEquals(
                        new VmOutcome.Stopped(),
                        task.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
            }
        }
    }

    @Test
    void waitingCanBeInterruptedAndTheGuestGoesOn() throws Exception {
        try (Vm vm = build(Guests.counts())) {
            vm.start();
            Thread.currentThread().interrupt();

            assertThrows(InterruptedException.class, vm::awaitExit);

            awaitCounterAbove(vm, counter(vm));
        }
    }

    /// Longer than what nanoseconds in 64 bits can say: for ever.
    @Test
    void longestTimeLimitIsNoLimit() throws Exception {
        try (Vm vm = build(Guests.exits(4))) {
            vm.start();

            assertEquals(
                    new VmOutcome.DebugExit(4), vm.awaitExit(Duration.ofSeconds(Long.MAX_VALUE)));
        }
    }

    @Test
    void pauseReallyPausesAndResumeGoesOn() throws Exception {
        try (Vm vm = build(Guests.counts())) {
            vm.start();
            awaitCounterAbove(vm, 1000);

            vm.pause();
            long paused = counter(vm);
            Thread.sleep(SHORT);
            long later = counter(vm);
            vm.resume();

            assertEquals(paused, later);
            awaitCounterAbove(vm, later + 1000);
        }
    }

    @Test
    void manyPausesLoseNothing() throws Exception {
        try (Vm vm = build(Guests.counts())) {
            vm.start();
            for (int i = 0; i < 300; i++) {
                vm.pause();
                long paused = counter(vm);
                vm.resume();
                awaitCounterAbove(vm, paused);
            }
        }
    }

    @Test
    void registersCanBeReadWhilePaused() throws Exception {
        try (Vm vm = build(Guests.spins())) {
            vm.start();
            Thread.sleep(SHORT);
            vm.pause();

            var regs = new KvmRegs();
            vm.vcpus()
                    .getFirst()
                    .call(vcpu -> {
                        vcpu.getRegs(regs);
                        return true;
                    });

            assertEquals(0x10_0001, regs.rip()); // the jump to itself
        }
    }

    @Test
    void pausedGuestIsStopped() throws Exception {
        try (Vm vm = build(Guests.spins())) {
            vm.start();
            vm.pause();

            assertTimeoutPreemptively(Host.LIMIT, vm::stop);

            assertEquals(new VmOutcome.Stopped(), vm.awaitExit());
        }
    }

    @Test
    void pausedMachineWithSeveralVcpusStandsStillAndCloses() throws Exception {
        Host.Resources before = Host.Resources.now();
        try (Vm vm = Vm.builder().memory(MEMORY).cpus(4).boot(Guests.counts()).build()) {
            vm.start();
            awaitCounterAbove(vm, 0);
            vm.pause();
            long paused = counter(vm);
            vm.resume();
            awaitCounterAbove(vm, paused);
            vm.pause();
        }
        before.awaitAgain();
    }

    @Test
    void machineThatWasNeverStartedIsStopped() throws Exception {
        try (Vm vm = build(Guests.exits(1))) {
            vm.stop();

            assertEquals(new VmOutcome.Stopped(), vm.awaitExit());
        }
    }

    @Test
    void createdMachineCanOnlyBeStarted() throws Exception {
        try (Vm vm = build(Guests.spins())) {
            assertRefused("cannot pause: the machine is CREATED", vm::pause);
            assertRefused("cannot resume: the machine is CREATED", vm::resume);
        }
    }

    @Test
    void runningMachineCanOnlyBePaused() throws Exception {
        try (Vm vm = build(Guests.spins())) {
            vm.start();

            assertRefused("cannot start: the machine is RUNNING", vm::start);
            assertRefused("cannot resume: the machine is RUNNING", vm::resume);
        }
    }

    @Test
    void pausedMachineCanOnlyBeResumed() throws Exception {
        try (Vm vm = build(Guests.spins())) {
            vm.start();
            vm.pause();

            assertRefused("cannot start: the machine is PAUSED", vm::start);
            assertRefused("cannot pause: the machine is PAUSED", vm::pause);
        }
    }

    @Test
    void closedMachineCanDoNothing() throws Exception {
        Vm vm = build(Guests.spins());
        vm.close();

        assertRefused("cannot start: the machine is CLOSED", vm::start);
        assertRefused("cannot pause: the machine is CLOSED", vm::pause);
        assertRefused("cannot resume: the machine is CLOSED", vm::resume);
    }

    /// It does not run, so it cannot be paused; a caller who believes that it has paused a guest
    /// would wait for its next step for ever.
    @Test
    void endedMachineCannotBePaused() throws Exception {
        try (Vm vm = build(Guests.exits(1))) {
            vm.start();
            vm.awaitExit(Host.LIMIT);

            assertThrows(IllegalStateException.class, vm::pause);
        }
    }

    @Test
    void closingTwiceIsHarmless() throws Exception {
        Vm vm = build(Guests.spins());
        vm.start();
        vm.close();
        vm.close();

        assertEquals(new VmOutcome.Stopped(), vm.awaitExit());
    }

    @Test
    void closedMachineStillTellsWhatItDid() throws Exception {
        Vm vm = build(Guests.exits(2));
        vm.start();
        vm.awaitExit(Host.LIMIT);
        vm.close();
        vm.stop();

        assertEquals(Optional.of(new VmOutcome.DebugExit(2)), vm.outcome());
        assertEquals(2, vm.exitCounts().get("IO"));
        assertThrows(IllegalStateException.class, () -> vm.memory().readByte(0));
    }

    @Test
    void closeWhileAnotherThreadWaitsLetsItGo() throws Exception {
        Vm vm = build(Guests.spins());
        vm.start();
        CompletableFuture<VmOutcome> waiting = CompletableFuture.supplyAsync(() -> await(vm));

        vm.close();

        assertEquals(
                new VmOutcome.Stopped(), waiting.get(Host.LIMIT.toSeconds(), TimeUnit.SECONDS));
    }

    private static VmOutcome await(Vm vm) {
        try {
            return vm.awaitExit();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void closeOfAnInterruptedThreadStillGivesEverythingBack() throws Exception {
        Host.Resources before = Host.Resources.now();
        Vm vm = build(Guests.spins());
        vm.start();
        Thread.currentThread().interrupt();

        vm.close();

        assertTrue(Thread.interrupted(), "the caller's interrupt is kept");
        before.awaitAgain();
    }

    @Test
    void buildOfAnInterruptedThreadFailsAndGivesEverythingBack() throws Exception {
        Host.Resources before = Host.Resources.now();
        Thread.currentThread().interrupt();

        assertThrows(IOException.class, () -> build(Guests.spins()));

        assertTrue(Thread.interrupted(), "the caller's interrupt is kept");
        before.awaitAgain();
    }

    @Test
    void interruptWhileDevicesAreAttachedFailsTheBuildAndGivesEverythingBack() throws Exception {
        Host.Resources before = Host.Resources.now();
        VmBuilder builder =
                Vm.builder()
                        .memory(MEMORY)
                        .boot(Guests.spins())
                        .device(_ -> Thread.currentThread().interrupt());

        assertThrows(IOException.class, builder::build);

        assertTrue(Thread.interrupted(), "the caller's interrupt is kept");
        before.awaitAgain();
    }
}
