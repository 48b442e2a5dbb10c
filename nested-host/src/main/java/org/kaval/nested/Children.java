package org.kaval.nested;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/// Starts processes that die with this one, however this one ends.
///
/// The kernel kills a process when the thread that started it is gone (`PR_SET_PDEATHSIG`): so a
/// thread does it that lives as long as this process. Any thread.
final class Children {
    private static final ExecutorService STARTER =
            Executors.newSingleThreadExecutor(
                    task -> Thread.ofPlatform().daemon().name("child-starter").unstarted(task));

    private Children() {}

    /// Starts a process.
    ///
    /// @param builder its command must keep its process, as `exec` of the shell does
    static Process start(ProcessBuilder builder) throws IOException {
        var command = new ArrayList<String>(List.of("setpriv", "--pdeathsig", "KILL"));
        command.addAll(builder.command());
        builder.command(command);
        try {
            return STARTER.submit(builder::start).get();
        } catch (ExecutionException e) {
            throw new NestedHostException(
                    "setpriv is missing: apt-get install util-linux", e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new NestedHostException("interrupted while a process was starting", e);
        }
    }
}
