package org.kaval.devices;

/// What is done with threads in more than one place.
public final class Threads {
    private Threads() {}

    /// Waits until `thread` has ended, which is soon, and leaves an interrupt for later.
    public static void join(Thread thread) {
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
