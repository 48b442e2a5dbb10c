package org.kaval.testing;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Where workers come from: a kind of nested host. For one thread.
interface Workers extends AutoCloseable {
    /// Starts one; there is one at a time.
    ///
    /// @throws UnobtainableException if there can be none
    TestWorker start(Order order) throws IOException, InterruptedException;

    @Override
    void close();

    /// What a worker is to have.
    ///
    /// @param parameters JUnit's configuration parameters
    /// @param files beside the class path, at the same paths as here
    /// @param console gets what the nested host's console prints, if not null
    record Order(Map<String, String> parameters, List<Path> files, @Nullable OutputStream console) {
        public Order {
            parameters = Map.copyOf(parameters);
            files = List.copyOf(files);
        }
    }

    /// No nested host can be had, now or later.
    final class UnobtainableException extends IOException {
        private static final long serialVersionUID = 1;

        UnobtainableException(IOException cause) {
            super(cause.getMessage(), cause);
        }
    }
}
