package org.kaval.testing;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Where workers come from: a kind of nested host. For one thread.
interface Workers extends AutoCloseable {
    /// The one there is, if it lives and was ordered with the same parameters, or a new one. There
    /// is one at a time.
    ///
    /// @throws UnobtainableException if there can be none
    TestWorker get(Order order) throws IOException, InterruptedException;

    @Override
    void close();

    /// What a worker is to have.
    ///
    /// @param parameters JUnit's configuration parameters
    /// @param files beside the class path, at the same paths as here
    record Order(Map<String, String> parameters, List<Path> files) {
        /// JUnit's parameter with a file that gets what the nested host's console prints, if set.
        static final String CONSOLE = "kaval.nested-host.console";

        public Order {
            parameters = Map.copyOf(parameters);
            files = List.copyOf(files);
        }

        /// Opens what gets the console's output; null if nothing does.
        @Nullable OutputStream openConsole() throws IOException {
            String file = parameters.get(CONSOLE);
            return file == null ? null : new FileOutputStream(file, true);
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
