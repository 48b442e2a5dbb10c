package org.kaval.cli;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Terminal;

/// The terminal while a guest has it: raw, for the guest has a line discipline of its own. It gets
/// its settings back when this is closed, and on every way out of the process but SIGKILL.
///
/// A raw terminal does not return the carriage, so standard error does that meanwhile.
final class RawTerminal implements AutoCloseable {
    private final Terminal terminal;
    private final PrintStream originalErr = System.err;
    private final Thread hook = Thread.ofPlatform().name("terminal").unstarted(this::restore);

    private RawTerminal(Terminal terminal) {
        this.terminal = terminal;
    }

    static RawTerminal open(Terminal terminal) throws ErrnoException {
        var raw = new RawTerminal(terminal);
        Runtime.getRuntime().addShutdownHook(raw.hook);
        terminal.raw();
        System.setErr(new PrintStream(new ReturningLines(raw.originalErr), true));
        return raw;
    }

    /// Makes it raw once more: whoever stopped the process, as a shell's job control does, may have
    /// changed it.
    void again() throws ErrnoException {
        terminal.raw();
    }

    /// How large its window is now.
    Terminal.Size size() throws ErrnoException {
        return terminal.size();
    }

    @Override
    public void close() {
        restore();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException _) {
            // the process is ending, and the hook has run or will
        }
    }

    private void restore() {
        System.setErr(originalErr);
        try {
            terminal.restore();
        } catch (ErrnoException e) {
            // it has been hung up: nobody is there to see it
            System.err.println("kaval: the terminal keeps its settings: " + e.getMessage());
        }
    }

    /// Puts a carriage return before each line feed.
    private static final class ReturningLines extends FilterOutputStream {
        ReturningLines(OutputStream out) {
            super(out);
        }

        @Override
        public void write(int value) throws IOException {
            if (value == '\n') {
                out.write('\r');
            }
            out.write(value);
        }
    }
}
