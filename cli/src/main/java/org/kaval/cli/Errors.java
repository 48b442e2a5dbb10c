package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.Failures;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.machine.ConfigException;
import org.kaval.memory.GuestFault;
import picocli.CommandLine;

/// Turns what went wrong into one line on standard error and an exit status. With `--debug` the
/// stack trace follows; a bug always shows it.
final class Errors
        implements CommandLine.IExecutionExceptionHandler, CommandLine.IParameterExceptionHandler {
    @Override
    public int handleExecutionException(
            Exception failure, CommandLine command, CommandLine.@Nullable ParseResult parsed) {
        PrintWriter err = command.getErr();
        int status = status(failure);
        err.println(
                "kaval: " + (status == ExitStatus.BUG ? "bug: " : "") + Failures.message(failure));
        if (status == ExitStatus.BUG || isDebug(parsed)) {
            failure.printStackTrace(err);
        }
        err.flush();
        return status;
    }

    @Override
    public int handleParseException(CommandLine.ParameterException failure, String[] args) {
        CommandLine command = failure.getCommandLine();
        PrintWriter err = command.getErr();
        err.printf(
                "kaval: %s; see '%s --help'%n",
                failure.getMessage(), command.getCommandSpec().qualifiedName());
        err.flush();
        return ExitStatus.USAGE;
    }

    private static int status(Exception failure) {
        return switch (failure) {
            case ConfigException _ -> ExitStatus.USAGE;
            case ErrnoException e when Failures.isMissingFile(e) -> ExitStatus.USAGE;
            case HostUnsupportedException _, ErrnoException _ -> ExitStatus.HOST;
            case IOException _, GuestFault _ ->
                    ExitStatus.USAGE; // what was to be booted is not right
            default -> ExitStatus.BUG;
        };
    }

    private static boolean isDebug(CommandLine.@Nullable ParseResult parsed) {
        for (var level = parsed; level != null; level = level.subcommand()) {
            if (level.hasMatchedOption("--debug")) {
                return true;
            }
        }
        return false;
    }
}
