package org.kaval.machine;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;
import org.kaval.devices.DeviceTimer;
import org.kaval.kvm.KvmRegs;
import org.kaval.kvm.KvmVcpu;
import org.kaval.vcpu.Vcpu;

/// Notices that a guest has halted for good: every vCPU waits in the kernel, which tells nobody,
/// and has interrupts off. That is how Linux ends at `halt`, and how boot code gives up.
///
/// While a vCPU runs now and then, looking costs a file of `/proc` each second and leaves the guest
/// alone. Once none has run for a whole period they are asked, and asked no more until one runs.
/// What they answer counts if none has run for another period and they say it again.
///
/// Confined to the timer's thread.
final class HaltWatch {
    private static final Logger LOG = System.getLogger(HaltWatch.class.getName());
    private static final Duration PERIOD = Duration.ofSeconds(1);
    private static final long UNKNOWN = -1;
    private static final long INTERRUPTS_ON = 1 << 9; // RFLAGS.IF

    private final Supplier<List<Vcpu>> vcpus;
    private final DeviceTimer timer;
    private final Runnable onHalted;
    private long lastTime = UNKNOWN;
    private boolean asked;
    private boolean suspected;

    private HaltWatch(Supplier<List<Vcpu>> vcpus, DeviceTimer timer, Runnable onHalted) {
        this.vcpus = vcpus;
        this.timer = timer;
        this.onHalted = onHalted;
    }

    /// Begins to look.
    ///
    /// @param onHalted is called once, on the timer's thread
    static void start(Supplier<List<Vcpu>> vcpus, DeviceTimer timer, Runnable onHalted) {
        new HaltWatch(vcpus, timer, onHalted).await();
    }

    private void await() {
        timer.set(PERIOD.toNanos(), this::look);
    }

    private void look() {
        try {
            List<Vcpu> all = vcpus.get();
            if (!all.isEmpty()
                    && all.stream().allMatch(vcpu -> vcpu.state() == Vcpu.State.RUNNING)) {
                look(all);
            } else {
                lastTime = UNKNOWN; // paused, or not started
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return;
        } catch (IOException e) {
            // a vCPU that has ended meanwhile has no such file any more
            if (vcpus.get().stream().allMatch(vcpu -> vcpu.thread().isAlive())) {
                LOG.log(
                        Level.WARNING,
                        "cannot see whether the guest has halted: {0}",
                        e.getMessage());
            }
            return;
        }
        await();
    }

    private void look(List<Vcpu> all) throws IOException, InterruptedException {
        long time = time(all);
        if (lastTime == UNKNOWN) {
            lastTime = time;
        } else if (time != lastTime) {
            lastTime = time;
            asked = false;
            suspected = false;
        } else if (suspected) {
            suspected = false;
            if (haveHalted(all)) {
                onHalted.run();
            }
        } else if (!asked) {
            suspected = haveHalted(all);
            asked = true;
            lastTime = UNKNOWN; // answering takes some
        }
    }

    private static long time(List<Vcpu> all) throws IOException {
        long sum = 0;
        for (Vcpu vcpu : all) {
            sum += vcpu.cpuNanos();
        }
        return sum;
    }

    private static boolean haveHalted(List<Vcpu> all) throws IOException, InterruptedException {
        for (Vcpu vcpu : all) {
            try {
                if (!vcpu.call(HaltWatch::hasHalted)) {
                    return false;
                }
            } catch (IllegalStateException _) {
                return false; // it has been stopped meanwhile
            }
        }
        return true;
    }

    private static boolean hasHalted(KvmVcpu vcpu) throws IOException {
        var regs = new KvmRegs();
        vcpu.getRegs(regs);
        return vcpu.isWaiting() && (regs.rflags() & INTERRUPTS_ON) == 0;
    }
}
