package org.kaval.devices.virtio;

import java.util.function.BooleanSupplier;
import org.kaval.memory.GuestFault;

/// How long a thread looks for the next request before it sleeps: some microseconds if requests
/// have come one upon the other, so that neither the driver's exit nor the thread's waking up is
/// paid for each of them; not at all if they come now and then, or if there is but one processor.
///
/// One thread.
final class Patience {
    /// What a sleep and its end cost, about: to look for longer would waste more than it saves.
    static final long MAX_NANOS = 32_000;

    /// Who has slept for less would have been better off without.
    private static final long SHORT_SLEEP = 3 * MAX_NANOS;

    /// Below that the next look would find nothing.
    private static final long MIN_NANOS = 2_000;

    private static final boolean USEFUL = Runtime.getRuntime().availableProcessors() > 1;

    private final boolean useful;
    private long nanos;

    Patience() {
        this(USEFUL);
    }

    /// @param useful whether somebody else can make a request meanwhile
    Patience(boolean useful) {
        this.useful = useful;
    }

    /// How long to look; 0 for not at all.
    long nanos() {
        return nanos;
    }

    /// Looks for a request, for so long. Allocates nothing.
    ///
    /// @param ending whether to look no longer
    /// @return whether there is one
    /// @throws GuestFault if the driver has broken the rules
    boolean findsRequest(VirtQueue queue, BooleanSupplier ending) {
        if (nanos == 0) {
            return false;
        }
        long start = System.nanoTime();
        do {
            if (queue.hasRequest()) {
                return true;
            }
            Thread.onSpinWait();
        } while (System.nanoTime() - start < nanos && !ending.getAsBoolean());
        return false;
    }

    /// Learns from a sleep that has ended.
    ///
    /// @param slept for how many nanoseconds
    void slept(long slept) {
        if (!useful) {
            return;
        }
        if (slept < SHORT_SLEEP) {
            nanos = MAX_NANOS;
        } else {
            nanos = nanos / 2 < MIN_NANOS ? 0 : nanos / 2;
        }
    }
}
