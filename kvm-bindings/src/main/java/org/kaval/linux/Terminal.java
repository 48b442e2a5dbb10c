package org.kaval.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.kaval.linux.abi.LinuxAbi;
import org.kaval.linux.abi.termios;
import org.kaval.linux.abi.winsize;

/// The settings of a terminal (termios(3)): raw for a guest that has a line discipline of its own,
/// and back again.
///
/// Any thread (guarded by this). Neither waits for output that the terminal holds back.
public final class Terminal {
    // asm-generic/ioctls.h. The kernel's structure is the beginning of the C library's.
    private static final int TCGETS = 0x5401;
    private static final int TCSETS = 0x5402;

    private final Fd fd;
    private final MemorySegment original;

    private Terminal(Fd fd, MemorySegment original) {
        this.fd = fd;
        this.original = original;
    }

    /// How large a terminal's window is, in characters; 0 where the terminal does not know.
    public record Size(int columns, int rows) {}

    /// The terminal behind `fd`, with its settings as they are now; empty if it is none.
    ///
    /// @param fd stays the caller's, and open as long as the terminal is used
    public static Optional<Terminal> of(Fd fd) throws ErrnoException {
        MemorySegment settings = Arena.ofAuto().allocate(termios.layout());
        long result = fd.tryIoctl(TCGETS, settings.address());
        if (result == -Errno.ENOTTY || result == -Errno.EINVAL || result == -Errno.ENODEV) {
            return Optional.empty();
        }
        Syscall.check("TCGETS", fd.name(), result);
        return Optional.of(new Terminal(fd, settings));
    }

    /// Lets every byte through as it is, both ways and at once, the keys for signals included
    /// (cfmakeraw(3)).
    public synchronized void raw() throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment settings = arena.allocate(termios.layout()).copyFrom(original);
            int input =
                    LinuxAbi.IGNBRK()
                            | LinuxAbi.BRKINT()
                            | LinuxAbi.PARMRK()
                            | LinuxAbi.ISTRIP()
                            | LinuxAbi.INLCR()
                            | LinuxAbi.IGNCR()
                            | LinuxAbi.ICRNL()
                            | LinuxAbi.IXON();
            int local =
                    LinuxAbi.ECHO()
                            | LinuxAbi.ECHONL()
                            | LinuxAbi.ICANON()
                            | LinuxAbi.ISIG()
                            | LinuxAbi.IEXTEN();
            int control = LinuxAbi.CSIZE() | LinuxAbi.PARENB();
            termios.c_iflag(settings, termios.c_iflag(settings) & ~input);
            termios.c_oflag(settings, termios.c_oflag(settings) & ~LinuxAbi.OPOST());
            termios.c_lflag(settings, termios.c_lflag(settings) & ~local);
            termios.c_cflag(settings, (termios.c_cflag(settings) & ~control) | LinuxAbi.CS8());
            MemorySegment characters = termios.c_cc(settings);
            characters.set(JAVA_BYTE, LinuxAbi.VMIN(), (byte) 1);
            characters.set(JAVA_BYTE, LinuxAbi.VTIME(), (byte) 0);
            fd.ioctl("TCSETS", TCSETS, settings);
        }
    }

    /// Gives the terminal back the settings that it had at first.
    public synchronized void restore() throws ErrnoException {
        fd.ioctl("TCSETS", TCSETS, original);
    }

    /// How large its window is now.
    public Size size() throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment size = arena.allocate(winsize.layout());
            fd.ioctl("TIOCGWINSZ", LinuxAbi.TIOCGWINSZ(), size);
            return new Size(
                    Short.toUnsignedInt(winsize.ws_col(size)),
                    Short.toUnsignedInt(winsize.ws_row(size)));
        }
    }
}
