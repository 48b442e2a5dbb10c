package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `kaval doctor`: what this host can do, and how to mend what it cannot.
@Command(
        name = "doctor",
        description =
                "Check whether this host can run guests, and say how to mend what is missing.",
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:everything that is needed is there",
            "3:this host cannot run guests",
        })
final class DoctorCommand implements Callable<Integer> {
    private final DoctorChecks checks;

    @Mixin CommandSpec common = CommonOptions.mixin();
    @Spec private CommandSpec spec = CommandSpec.create();

    @Option(names = "--json", description = "Print one JSON object instead of a table.")
    private boolean json;

    /// Looks at the host that it runs on.
    DoctorCommand() {
        this(DoctorChecks.ofThisHost());
    }

    DoctorCommand(DoctorChecks checks) {
        this.checks = checks;
    }

    @Override
    public Integer call() throws IOException {
        DoctorReport report = checks.report();
        PrintWriter out = spec.commandLine().getOut();
        // the scheme's default is Ansi.AUTO: no colour in a pipe
        out.println(
                json ? report.json() : report.table(spec.commandLine().getColorScheme().ansi()));
        out.flush();
        return report.exitStatus();
    }
}
