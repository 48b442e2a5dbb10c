package org.kaval.cli;

import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/// The guest that runs now, for other threads than the one that runs it: that does not close it
/// while somebody uses it. Any thread.
///
/// @param <G> a guest
final class CurrentGuest<G> {
    private final ReentrantLock turn = new ReentrantLock();
    private @Nullable G guest; // guarded by this
    private int uses; // of it; guarded by this

    /// From now on this is the guest.
    synchronized void begin(G next) {
        guest = next;
    }

    /// From now on there is none; returns when nobody uses it any more.
    synchronized void end() {
        guest = null;
        boolean interrupted = false;
        while (uses > 0) {
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /// Begins a use of the guest, whoever else uses it; null if there is none.
    synchronized @Nullable Use use() {
        G current = guest;
        if (current == null) {
            return null;
        }
        uses++;
        return new Use(current, false);
    }

    /// Waits until nobody else has a turn, and begins one: for what may take long. Null if there is
    /// no guest. The thread that began it ends it.
    @Nullable Use turn() {
        Use use = use();
        if (use == null) {
            return null;
        }
        turn.lock();
        return new Use(use.guest, true);
    }

    /// About how many wait for a turn.
    int waiting() {
        return turn.getQueueLength();
    }

    private synchronized void endUse() {
        uses--;
        notifyAll();
    }

    /// Until it is closed, which is once, the guest is not.
    final class Use implements AutoCloseable {
        private final G guest;
        private final boolean inTurn;

        private Use(G guest, boolean inTurn) {
            this.guest = guest;
            this.inTurn = inTurn;
        }

        G guest() {
            return guest;
        }

        @Override
        public void close() {
            if (inTurn) {
                turn.unlock();
            }
            endUse();
        }
    }
}
