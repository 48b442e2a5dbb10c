package org.kaval.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.VmFolder;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.Terminal;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Vm;
import org.kaval.machine.VmBuilder;

/// Where a guest's first serial port leads: the value of `--console`. It outlives the machine,
/// which may be restarted.
sealed interface GuestConsole extends AutoCloseable {
    /// The choice of who chooses nothing.
    String TTY = "tty";

    /// Connects a machine that is to be built.
    void connect(VmBuilder builder);

    /// Says that a machine has been built.
    default void built(@SuppressWarnings("unused") Vm vm) throws ErrnoException {}

    @Override
    void close();

    /// @param choice `tty`, `none`, `file=PATH` or `socket=PATH`
    /// @param pressed is told of keys that are for Kaval
    static GuestConsole open(String choice, Consumer<EscapeKeys.Key> pressed) throws IOException {
        if (choice.equals(TTY)) {
            return Tty.open(pressed);
        }
        if (choice.equals("none")) {
            return new None();
        }
        String[] parts = choice.split("=", 2);
        if (parts.length == 2 && !parts[1].isEmpty()) {
            if (parts[0].equals("file")) {
                return new File(new FileOutputStream(parts[1], true));
            }
            if (parts[0].equals("socket")) {
                return new Socket(ConsoleSocket.open(Path.of(parts[1]), ConsoleLog.none()));
            }
        }
        throw new ConfigException(
                "console", "'%s' is none of tty, none, file=PATH, socket=PATH".formatted(choice));
    }

    /// That of a machine in the background, unless it has been led elsewhere.
    static GuestConsole background(VmFolder folder) throws IOException {
        return new Socket(ConsoleSocket.open(folder.console(), ConsoleLog.open(folder.log())));
    }

    /// Standard input and output. A terminal is made raw, and has keys for Kaval.
    final class Tty implements GuestConsole {
        private final @Nullable Fd input;
        private final @Nullable RawTerminal terminal;
        private final EscapeKeys keys;

        private Tty(@Nullable Fd input, @Nullable RawTerminal terminal, EscapeKeys keys) {
            this.input = input;
            this.terminal = terminal;
            this.keys = keys;
        }

        private static Tty open(Consumer<EscapeKeys.Key> pressed) throws ErrnoException {
            Fd input = standardInput();
            RawTerminal terminal = null;
            boolean opened = false;
            try {
                if (input != null) {
                    var found = Terminal.of(input);
                    terminal = found.isPresent() ? RawTerminal.open(found.get()) : null;
                }
                opened = true;
                return new Tty(input, terminal, new EscapeKeys(pressed));
            } finally {
                if (!opened && input != null) {
                    input.close();
                }
            }
        }

        @Override
        public void connect(VmBuilder builder) {
            if (terminal != null && input != null) {
                builder.serialInput(input, keys);
            } else if (input != null) {
                builder.serialInput(input);
            }
            // not System.out: it would encode, and it swallows errors
            builder.serialOutput(new FileOutputStream(FileDescriptor.out));
        }

        @Override
        public void built(Vm vm) throws ErrnoException {
            passSize(vm);
        }

        /// Tells the guest how large the terminal's window is.
        void passSize(Vm vm) throws ErrnoException {
            if (terminal != null) {
                Terminal.Size size = terminal.size();
                vm.resizeConsole(size.columns(), size.rows());
            }
        }

        /// After the process was stopped and went on.
        void again() throws ErrnoException {
            if (terminal != null) {
                terminal.again();
            }
        }

        @Override
        public void close() {
            if (terminal != null) {
                terminal.close();
            }
            if (input != null) {
                input.close();
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

    /// Nowhere.
    final class None implements GuestConsole {
        @Override
        public void connect(VmBuilder builder) {}

        @Override
        public void close() {}
    }

    /// The end of a file; there is no input.
    record File(FileOutputStream file) implements GuestConsole {
        @Override
        public void connect(VmBuilder builder) {
            builder.serialOutput(file);
        }

        @Override
        public void close() {
            try {
                file.close();
            } catch (IOException e) {
                System.err.println("kaval: console: " + e.getMessage());
            }
        }
    }

    /// A Unix socket.
    record Socket(ConsoleSocket socket) implements GuestConsole {
        @Override
        public void connect(VmBuilder builder) {
            builder.serialOutput(socket.output());
        }

        @Override
        public void built(Vm vm) {
            socket.input(vm);
        }

        @Override
        public void close() {
            socket.close();
        }
    }
}
