package org.kaval.devices.block;

/// Waits for a notification that comes soon, and leaves an interrupt for later.
final class Waiting {
    private Waiting() {}

    /// Waits for `monitor`, which the caller holds; may return for no reason.
    @SuppressWarnings("WaitNotInLoop") // the callers have the loop
    static void on(Object monitor) {
        boolean interrupted = Thread.interrupted();
        try {
            monitor.wait();
        } catch (InterruptedException e) {
            interrupted = true;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
