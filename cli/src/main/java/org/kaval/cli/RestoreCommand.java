package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.kaval.machine.ConfigException;
import org.kaval.machine.snapshot.Snapshot;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/// `kaval restore`: a guest goes on where it was when its snapshot was made. It is `kaval run` with
/// the options that the snapshot has, and those that are given here.
final class RestoreCommand implements Callable<Integer> {
    private final PositionalParamSpec directory =
            PositionalParamSpec.builder()
                    .paramLabel("DIR")
                    .index("0")
                    .arity("1")
                    .type(Path.class)
                    .description("The folder of the snapshot.")
                    .build();

    private final CommandSpec spec = makeSpec();

    CommandSpec spec() {
        return spec;
    }

    private CommandSpec makeSpec() {
        CommandSpec made =
                CommandSpec.wrapWithoutInspection(this)
                        .addMixin("common", CommonOptions.mixin())
                        .addPositional(directory);
        made.parser().unmatchedArgumentsAllowed(true);
        made.usageMessage()
                .customSynopsis("kaval restore DIR [OPTIONS of kaval run]")
                .description(
                        "Lets a guest go on where it was when its snapshot was made.",
                        "Disks and other devices, and the files that they need, are those that kaval run"
                                + " was given then. Of its options those may be given that say how the guest"
                                + " is shown, named and ended: --name, --detach, --console, --snapshot-dir,"
                                + " --time-limit, --grace, --on-reboot, --stats, --trace; --vsock, if it has"
                                + " one; and --ephemeral, with which a snapshot can be restored any number of"
                                + " times, several at once.");
        return made;
    }

    @Override
    public Integer call() throws IOException {
        Snapshot snapshot = Snapshot.read(directory.getValue());
        GuestSnapshots.checkUnused(snapshot);
        String saved = snapshot.attributes().get(GuestSnapshots.ARGUMENTS);
        if (saved == null) {
            throw new ConfigException(
                    "snapshot", snapshot.directory() + " was not made by kaval run");
        }
        var arguments = new ArrayList<String>(saved.isEmpty() ? List.of() : saved.lines().toList());
        arguments.addAll(spec.commandLine().getUnmatchedArguments());
        List<String> original = spec.commandLine().getParent().getParseResult().originalArgs();
        var errors = new Errors();
        return new CommandLine(new RunCommand(snapshot, original).spec())
                .setExecutionExceptionHandler(errors)
                .setParameterExceptionHandler(errors)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setOverwrittenOptionsAllowed(true) // by what is given here, which comes last
                .execute(arguments.toArray(String[]::new));
    }
}
