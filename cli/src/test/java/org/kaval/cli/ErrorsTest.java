package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.NoSuchFileException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.machine.ConfigException;
import org.kaval.memory.GuestFault;
import picocli.CommandLine;

class ErrorsTest {
    private final StringWriter err = new StringWriter();
    private final CommandLine command = Kaval.commandLine("").setErr(new PrintWriter(err));

    static Stream<Arguments> failures() {
        return Stream.of(
                Arguments.of(new ConfigException("memory", "too odd"), 2, "memory: too odd"),
                Arguments.of(new HostUnsupportedException("no KVM"), 3, "no KVM"),
                Arguments.of(
                        new ErrnoException("KVM_CREATE_VM", "/dev/kvm", Errno.EBUSY),
                        3,
                        "KVM_CREATE_VM on /dev/kvm: EBUSY"),
                Arguments.of(
                        new ErrnoException("openat", "/x", Errno.ENOENT), 2, "/x: no such file"),
                Arguments.of(
                        new ErrnoException("openat", "/x", Errno.EACCES),
                        3,
                        "/x: permission denied"),
                Arguments.of(
                        new ErrnoException("openat", "/x", Errno.EROFS),
                        3,
                        "/x: read-only file system"),
                Arguments.of(
                        new ErrnoException("openat", "/x", Errno.EMFILE),
                        3,
                        "openat on /x: EMFILE"),
                Arguments.of(new IOException("bad file"), 2, "bad file"),
                Arguments.of(new NoSuchFileException("/x"), 2, "/x: no such file"),
                Arguments.of(new GuestFault("no RAM at 0x0+0x1"), 2, "no RAM at 0x0+0x1"));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void failureIsOneLineAndAStatus(Exception failure, int status, String line) {
        assertEquals(status, new Errors().handleExecutionException(failure, command, null));
        assertEquals("kaval: " + line + System.lineSeparator(), err.toString());
    }

    @Test
    void bugShowsItsStackTrace() {
        var bug = new IllegalStateException("oops");
        assertEquals(70, new Errors().handleExecutionException(bug, command, null));
        assertTrue(err.toString().startsWith("kaval: bug: oops"), err.toString());
        assertTrue(err.toString().contains("ErrorsTest.bugShowsItsStackTrace"), err.toString());
    }

    @Test
    void missingCommandIsAUsageError() {
        assertEquals(2, command.execute());
        assertTrue(err.toString().startsWith("kaval: a command is missing; see 'kaval --help'"));
    }
}
