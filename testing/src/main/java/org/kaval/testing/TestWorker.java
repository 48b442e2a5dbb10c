package org.kaval.testing;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.nested.guest.Frames;

/// A JVM in a nested host, of whichever kind, that runs tests. For one thread.
interface TestWorker {
    /// Starts tests; {@link #next} then tells how they go.
    ///
    /// @param uniqueIds the worker's names of them
    /// @param following what will be started after them, each if the worker lives so long
    void run(List<String> uniqueIds, List<List<String>> following)
            throws IOException, InterruptedException;

    /// What it has told next, waited for.
    ///
    /// @param silence is not counted while the worker is starting
    /// @return null if nothing has come for so long
    @Nullable Event next(Duration silence) throws InterruptedException;

    /// Ends it, with the threads of the JVM printed if that can be: events end with them.
    void dumpThreadsAndKill() throws IOException;

    /// Whether it can run more.
    boolean isAlive();

    /// What comes from a worker.
    sealed interface Event {
        /// The worker tells something.
        record Message(Frames.Frame frame) implements Event {}

        /// It has ended, and why.
        record Ended(String reason) implements Event {}
    }
}
