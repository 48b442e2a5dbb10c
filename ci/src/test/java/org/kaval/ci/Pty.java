package org.kaval.ci;

import com.sun.jna.Library;
import com.sun.jna.Native;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/// A pseudoterminal: a program gets {@link #terminal} as its standard input, and the test types.
final class Pty implements AutoCloseable {
    private static final int O_RDWR = 2;
    private static final int O_NOCTTY = 0x100;
    private static final LibC LIBC = Native.load("c", LibC.class);

    private final int keyboard;
    private final File terminal;

    interface LibC extends Library {
        int posix_openpt(int flags);

        int grantpt(int fd);

        int unlockpt(int fd);

        String ptsname(int fd);

        long write(int fd, byte[] bytes, long count);

        int close(int fd);
    }

    Pty() throws IOException {
        keyboard = LIBC.posix_openpt(O_RDWR | O_NOCTTY);
        if (keyboard < 0 || LIBC.grantpt(keyboard) != 0 || LIBC.unlockpt(keyboard) != 0) {
            throw new IOException("no pseudoterminal, errno " + Native.getLastError());
        }
        terminal = new File(LIBC.ptsname(keyboard));
    }

    File terminal() {
        return terminal;
    }

    /// Types, and waits where the terminal has no room.
    void type(String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        if (LIBC.write(keyboard, bytes, bytes.length) != bytes.length) {
            throw new IOException("not typed, errno " + Native.getLastError());
        }
    }

    /// The terminal's settings, as `stty` shows them.
    String settings() throws IOException, InterruptedException {
        return Processes.run("stty", "-a", "-F", terminal.toString()).out();
    }

    @Override
    public void close() {
        LIBC.close(keyboard);
    }
}
