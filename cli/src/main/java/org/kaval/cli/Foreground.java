package org.kaval.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.machine.Vm;
import org.kaval.machine.VmBuilder;
import org.kaval.machine.VmOutcome;

/// A machine that runs in the foreground: standard input and output are its first serial port, and
/// when the process is told to end, so is the machine.
final class Foreground implements AutoCloseable {
    private final Vm vm;
    private final @Nullable Fd input;
    private final Thread hook;

    private Foreground(Vm vm, @Nullable Fd input) {
        this.vm = vm;
        this.input = input;
        // on SIGINT, SIGTERM and SIGHUP: the output that the guest has written still goes out
        this.hook = Thread.ofPlatform().name("shutdown").unstarted(vm::close);
        Runtime.getRuntime().addShutdownHook(hook);
    }

    static Foreground build(VmBuilder builder) throws IOException {
        Fd input = standardInput();
        boolean built = false;
        try {
            if (input != null) {
                builder.serialInput(input);
            }
            // not System.out: it would encode, and it swallows errors
            builder.serialOutput(new FileOutputStream(FileDescriptor.out));
            var session = new Foreground(builder.build(), input);
            built = true;
            return session;
        } finally {
            if (!built && input != null) {
                input.close();
            }
        }
    }

    Vm vm() {
        return vm;
    }

    VmOutcome run(@Nullable Duration limit) throws InterruptedException {
        vm.start();
        return limit == null ? vm.awaitExit() : vm.awaitExit(limit);
    }

    @Override
    public void close() {
        vm.close();
        if (input != null) {
            input.close();
        }
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // the process is ending, and the hook has run or will
        }
    }

    private static @Nullable Fd standardInput() throws ErrnoException {
        try {
            return Fd.duplicateOfStandardInput();
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EBADF) {
                return null; // the process was started without one
            }
            throw e;
        }
    }
}
