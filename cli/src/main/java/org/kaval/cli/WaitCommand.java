package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import org.kaval.cli.control.VmFolder;
import org.kaval.cli.control.VmRecord;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval wait`: until a named machine has ended.
@Command(
        name = "wait",
        description = "Waits until a machine has ended, says how, and returns its status.",
        footer = {"", "Exit status: that of the machine's own process; 1 if it was killed."})
final class WaitCommand implements Callable<Integer> {
    private static final int POLL_MILLIS = 20;

    @Mixin CommandSpec common = CommonOptions.mixin();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(paramLabel = "NAME", description = "The machine.")
    String name = "";

    @Override
    public Integer call() throws IOException, InterruptedException {
        VmFolder folder = VmFolder.existing(name);
        await(List.of(folder));
        VmRecord record =
                folder.read()
                        .orElseThrow(() ->
                                new ConfigException(
                                        "name", "'%s' has been removed".formatted(name)));
        boolean ended = record.ended() != null;
        PrintWriter out = spec.commandLine().getOut();
        out.println(ended ? record.outcome() : "its process was killed");
        out.flush();
        return ended ? record.status() : ExitStatus.GUEST_CRASHED;
    }

    /// Returns when their processes have ended.
    static void await(List<VmFolder> folders) throws IOException, InterruptedException {
        for (VmFolder folder : folders) {
            while (folder.isAlive()) {
                Thread.sleep(POLL_MILLIS);
            }
        }
    }
}
