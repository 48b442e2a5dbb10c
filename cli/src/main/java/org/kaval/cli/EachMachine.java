package org.kaval.cli;

import java.io.IOException;
import java.util.List;
import org.kaval.machine.ConfigException;
import picocli.CommandLine;

/// Commands about several machines: what goes wrong with one is said, and keeps nobody from the
/// others.
final class EachMachine {
    private EachMachine() {}

    interface Action {
        void apply(String name) throws IOException, InterruptedException;
    }

    /// @return the status of the first that went wrong, or 0
    static int run(CommandLine command, List<String> names, Action action)
            throws InterruptedException {
        int status = ExitStatus.OK;
        for (String name : names) {
            try {
                action.apply(name);
            } catch (IOException | ConfigException e) {
                int failed =
                        new Errors().handleExecutionException(e, command, command.getParseResult());
                status = status == ExitStatus.OK ? failed : status;
            }
        }
        return status;
    }
}
