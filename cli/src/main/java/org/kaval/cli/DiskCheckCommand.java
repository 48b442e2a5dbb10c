package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.kaval.devices.block.CheckResult;
import org.kaval.devices.block.Qcow2Check;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `kaval disk check`: whether the tables of a qcow2 image agree.
@Command(
        name = "check",
        description = "Checks the tables of a qcow2 image, and mends them if asked to.",
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {"0:nothing is wrong, or not any more", "2:something is"})
final class DiskCheckCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Mixin DiskImage image = new DiskImage();
    @Spec CommandSpec spec = CommandSpec.create();

    @Option(
            names = "--repair",
            paramLabel = "leaks|all",
            defaultValue = "nothing",
            description =
                    "What to mend: leaks, which only take space, or all. Default: ${DEFAULT-VALUE}.")
    Qcow2Check.Repair repair = Qcow2Check.Repair.NOTHING;

    @Override
    public Integer call() throws IOException {
        image.requireQcow2("kaval disk check");
        CheckResult result =
                Qcow2Check.check(
                        image.path, repair, ProgressBar.onTerminal(spec.commandLine().getErr()));
        PrintWriter out = spec.commandLine().getOut();
        result.problems().forEach(out::println);
        out.printf(
                "errors: %d, leaked clusters: %d, mended: %d%n",
                result.corruptions(), result.leaks(), result.repaired());
        out.printf(
                "clusters in use: %d of %d; the last one ends at %d bytes%n",
                result.allocated(), result.total(), result.end());
        out.flush();
        return result.isClean() ? ExitStatus.OK : ExitStatus.USAGE;
    }
}
