package org.kaval.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.VmFolder;
import org.kaval.machine.ConfigException;
import picocli.CommandLine;

/// Commands about several machines: what goes wrong with one is said, and keeps nobody from the
/// others.
final class EachMachine {
    private EachMachine() {}

    interface Action {
        void apply(String name) throws IOException, InterruptedException;
    }

    /// Asks all of them to end, and then waits until they have.
    ///
    /// @param path of the request for it
    /// @return the status of the first that could not be asked, or 0
    static int end(CommandLine command, List<String> names, String path, Map<String, Object> body)
            throws IOException, InterruptedException {
        var asked = new ArrayList<VmFolder>();
        int status =
                run(
                        command,
                        names,
                        name -> {
                            ControlClient.of(name).end(path, body);
                            asked.add(VmFolder.existing(name));
                        });
        WaitCommand.await(asked);
        return status;
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
