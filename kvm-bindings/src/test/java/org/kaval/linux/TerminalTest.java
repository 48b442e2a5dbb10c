package org.kaval.linux;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// On a pseudoterminal: what is typed at its one end arrives at the other as the settings have it.
class TerminalTest {
    // asm-generic/ioctls.h
    private static final int TIOCGPTN = 0x80045430;
    private static final int TIOCSPTLCK = 0x40045431;
    private static final int TIOCSWINSZ = 0x5414;

    private static final byte CTRL_C = 3;

    private Fd keyboard;
    private Fd line;

    @BeforeEach
    void openPseudoterminal() throws Exception {
        keyboard = Fd.open(Path.of("/dev/ptmx"), Fd.Access.READ_WRITE);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment number = arena.allocateFrom(ValueLayout.JAVA_INT, 0);
            keyboard.ioctl("TIOCSPTLCK", TIOCSPTLCK, number);
            keyboard.ioctl("TIOCGPTN", TIOCGPTN & 0xffff_ffffL, number);
            Path path = Path.of("/dev/pts/" + number.get(ValueLayout.JAVA_INT, 0));
            line = Fd.open(path, Fd.Access.READ_WRITE);
        }
    }

    @AfterEach
    void close() {
        line.close();
        keyboard.close();
    }

    private void type(byte... bytes) throws Exception {
        write(keyboard, bytes);
    }

    private static void write(Fd fd, byte... bytes) throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            long result =
                    Syscall.call(
                            Syscall.WRITE, fd.number(), buffer.address(), bytes.length, 0, 0, 0);
            assertEquals(bytes.length, result);
        }
    }

    private static String read(Fd fd) throws Exception {
        byte[] bytes = new byte[100];
        return new String(bytes, 0, fd.read(bytes), US_ASCII);
    }

    @Test
    void rawLetsEveryByteThroughAtOnce() throws Exception {
        Terminal terminal = Terminal.of(line).orElseThrow();
        terminal.raw();

        type((byte) 'a', (byte) '\r', CTRL_C);
        assertEquals("a\r\3", read(line));
        write(line, (byte) '\n');
        // no echo of what was typed, and no carriage return before the line feed
        assertEquals("\n", read(keyboard));
    }

    @Test
    void restoreGivesTheLineDisciplineBack() throws Exception {
        Terminal terminal = Terminal.of(line).orElseThrow();
        terminal.raw();
        terminal.restore();

        type((byte) 'a', (byte) '\r');
        assertEquals("a\n", read(line));
        assertEquals("a\r\n", read(keyboard)); // the echo
    }

    @Test
    void sizeIsTheWindows() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            // struct winsize: rows, columns, and two that nobody uses
            MemorySegment size =
                    arena.allocateFrom(
                            ValueLayout.JAVA_SHORT, (short) 50, (short) 132, (short) 0, (short) 0);
            keyboard.ioctl("TIOCSWINSZ", TIOCSWINSZ, size);
        }
        assertEquals(new Terminal.Size(132, 50), Terminal.of(line).orElseThrow().size());
    }

    @Test
    void filesAndPipesAreNone(@TempDir Path directory) throws Exception {
        Path file = Files.createFile(directory.resolve("file"));
        try (Fd fd = Fd.open(file, Fd.Access.READ)) {
            assertTrue(Terminal.of(fd).isEmpty());
        }
        try (Fd fd = Fd.open(Path.of("/dev/null"), Fd.Access.READ)) {
            assertTrue(Terminal.of(fd).isEmpty());
        }
    }
}
