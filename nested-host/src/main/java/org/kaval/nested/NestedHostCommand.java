package org.kaval.nested;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `./kaval nested-host -- COMMAND`: runs a command in a nested host.
@Command(
        name = "kaval nested-host",
        description = {
            "Runs a command on a Linux that has AMD-V, emulated by QEMU: slow, but without root or KVM.",
            "Its output, input and exit status are this command's. The first run builds an image."
        },
        footer = {
            "",
            "Exit status: that of COMMAND; 2 wrong options, 3 the nested host does not start or has ended."
        },
        sortOptions = false)
final class NestedHostCommand implements Callable<Integer> {
    private static final int USAGE = 2;
    private static final int HOST = 3;
    private static final Duration FOREVER = Duration.ofDays(365);

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Show this help and exit.")
    boolean help;

    @Option(
            names = "--cpus",
            paramLabel = "N",
            description = "CPUs, 1 to 8 (default: 1; more hang at times).")
    private int cpus = 1;

    @Option(
            names = "--memory",
            paramLabel = "MIB",
            description = "RAM in MiB, at least 512 (default: 6656).")
    private int mebibytes = 6656;

    @Option(
            names = "--time-limit",
            paramLabel = "SECONDS",
            description = "End it after so long (default: 3600).")
    private long seconds = 3600;

    @Option(
            names = "--in",
            paramLabel = "FILE[=PATH]",
            description = "Copy a file or folder in before, to PATH or to the same path.")
    private List<String> in = List.of();

    @Option(
            names = "--out",
            paramLabel = "PATH=FILE",
            description = "Copy a file or folder out afterwards.")
    private Map<String, Path> out = Map.of();

    @Option(names = "--console", description = "Show the nested host's console, too.")
    private boolean console;

    @Parameters(arity = "1..*", paramLabel = "COMMAND", description = "What to run, after --.")
    private List<String> command = List.of();

    @Spec private CommandSpec spec = CommandSpec.create();

    /// Runs the command and ends the process with its status.
    public static void main(String[] args) {
        System.exit(
                new CommandLine(new NestedHostCommand())
                        .setStopAtPositional(true)
                        .setExecutionExceptionHandler(NestedHostCommand::failure)
                        .setParameterExceptionHandler(NestedHostCommand::misuse)
                        .execute(args));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        var standardOutput = new FileOutputStream(FileDescriptor.out);
        var standardError = new FileOutputStream(FileDescriptor.err);
        try (NestedHost host = NestedHost.start(settings(console ? standardError : null))) {
            for (String file : in) {
                int split = file.indexOf('=');
                Path source = Path.of(split < 0 ? file : file.substring(0, split)).toAbsolutePath();
                host.copyIn(
                        source,
                        split < 0 ? source.normalize().toString() : file.substring(split + 1));
            }
            NestedProcess process = host.exec(command, standardOutput, standardError);
            Thread.ofPlatform().daemon().name("input").start(() -> feed(process));
            int status = process.await(FOREVER);
            for (Map.Entry<String, Path> file : out.entrySet()) {
                host.copyOut(file.getKey(), file.getValue());
            }
            return status;
        }
    }

    private NestedHost.Settings settings(@Nullable OutputStream log) {
        try {
            return new NestedHost.Settings()
                    .withCpus(cpus)
                    .withMebibytes(mebibytes)
                    .withTimeLimit(Duration.ofSeconds(seconds))
                    .withConsole(log);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    private static void feed(NestedProcess process) {
        try (InputStream source = new FileInputStream(FileDescriptor.in);
                OutputStream sink = process.input()) {
            source.transferTo(sink);
        } catch (IOException e) {
            // the nested host has ended, which the main thread reports, or there is no input
        }
    }

    private static int failure(
            Exception failure, CommandLine line, CommandLine.@Nullable ParseResult parsed)
            throws Exception {
        if (!(failure instanceof IOException)) {
            throw failure;
        }
        line.getErr().println("kaval: " + failure.getMessage());
        return HOST;
    }

    private static int misuse(ParameterException failure, String[] args) {
        failure.getCommandLine()
                .getErr()
                .printf("kaval: %s; see './kaval nested-host --help'%n", failure.getMessage());
        return USAGE;
    }
}
