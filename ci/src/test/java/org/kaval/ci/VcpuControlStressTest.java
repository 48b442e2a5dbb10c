package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kaval.kvm.KvmRegs;
import org.kaval.machine.Vm;
import org.kaval.machine.VmOutcome;
import org.kaval.machine.boot.FlatPayload;
import org.kaval.machine.boot.FlatPayload.Mode;
import org.kaval.testing.Effort;
import org.kaval.testing.NeedsKvm;
import org.kaval.vcpu.Vcpu;

/// Requests from many threads at once reach a vCPU that spins with interrupts off: none is lost and
/// none hangs, while the garbage collector stops the world all the time.
@NeedsKvm
@Timeout(value = 10, unit = TimeUnit.MINUTES) // only so that a hang is reported
class VcpuControlStressTest {
    private static final int CYCLES = Effort.times(10_000);
    private static final int THREADS = 3;
    private static final int MACHINES = Effort.times(300);
    private static final long GARBAGE_INTERVAL = TimeUnit.MILLISECONDS.toNanos(5);

    @Test
    void noRequestIsLost() throws Exception {
        try (Vm vm = spinning();
                ExecutorService threads = Executors.newFixedThreadPool(THREADS + 1)) {
            vm.start();
            Vcpu vcpu = vm.vcpus().getFirst();
            var remaining = new AtomicInteger(CYCLES);
            var done = new AtomicInteger();
            var workers = new CompletableFuture<?>[THREADS];
            for (int i = 0; i < THREADS; i++) {
                workers[i] =
                        CompletableFuture.runAsync(() -> cycle(vcpu, remaining, done), threads);
            }
            var all = CompletableFuture.allOf(workers);
            threads.execute(() -> collectGarbageUntil(all));
            all.join();
            assertEquals(CYCLES, done.get());

            vcpu.resume();
            long before = counter(vm);
            awaitAdvance(vm, before);
            vm.stop();
            assertEquals(new VmOutcome.Stopped(), vm.awaitExit());
        }
    }

    @Test
    void everyMachineStopsAtWhateverMoment() throws Exception {
        for (int i = 0; i < MACHINES; i++) {
            try (Vm vm = spinning()) {
                Thread stopper = Thread.ofPlatform().start(vm::stop);
                vm.start();
                assertEquals(new VmOutcome.Stopped(), vm.awaitExit(Duration.ofSeconds(30)));
                stopper.join();
            }
        }
    }

    private static Vm spinning() throws Exception {
        return Vm.builder()
                .memory(16 << 20)
                .boot(FlatPayload.of(Payloads.count(), Mode.LONG64))
                .build();
    }

    private static void cycle(Vcpu vcpu, AtomicInteger remaining, AtomicInteger done) {
        try {
            while (remaining.getAndDecrement() > 0) {
                vcpu.pause();
                long rip =
                        vcpu.call(kvm -> {
                            var regs = new KvmRegs();
                            kvm.getRegs(regs);
                            return regs.rip();
                        });
                assertTrue(rip >= Mode.LONG64.loadAddress());
                vcpu.resume();
                done.incrementAndGet();
            }
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static void collectGarbageUntil(CompletableFuture<?> end) {
        while (!end.isDone()) {
            System.gc();
            LockSupport.parkNanos(GARBAGE_INTERVAL); // or the others hardly run
        }
    }

    private static long counter(Vm vm) {
        return vm.memory().readLe64(0x20_0000);
    }

    private static void awaitAdvance(Vm vm, long from) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (counter(vm) == from && System.nanoTime() < deadline) {
            Thread.onSpinWait();
        }
        assertNotEquals(from, counter(vm));
    }
}
