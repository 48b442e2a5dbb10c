package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.FileSystemException;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
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
        err.println("kaval: " + (status == ExitStatus.BUG ? "bug: " : "") + message(failure));
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
            case ErrnoException e when isMissingFile(e) -> ExitStatus.USAGE;
            case HostUnsupportedException _, ErrnoException _ -> ExitStatus.HOST;
            case IOException _, GuestFault _ ->
                    ExitStatus.USAGE; // what was to be booted is not right
            default -> ExitStatus.BUG;
        };
    }

    private static String message(Exception failure) {
        return switch (failure) {
            // java.nio's messages are the bare path, or the path and the system's words
            case java.nio.file.NoSuchFileException e -> e.getFile() + ": no such file";
            case ErrnoException e when isMissingFile(e) -> e.object() + ": no such file";
            case java.nio.file.AccessDeniedException e -> e.getFile() + ": permission denied";
            case FileSystemException e -> String.valueOf(e.getMessage());
            default -> failure.getMessage() == null ? failure.toString() : failure.getMessage();
        };
    }

    /// Devices of the host, which are its matter, are reported as such ({@link
    /// HostUnsupportedException}).
    private static boolean isMissingFile(ErrnoException failure) {
        return failure.operation().equals("openat") && failure.errno() == Errno.ENOENT;
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
