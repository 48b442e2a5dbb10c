package org.kaval.cli;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.Terminal;
import org.kaval.nested.NestedHost;
import org.kaval.nested.NestedHostException;
import org.kaval.nested.NestedProcess;

/// `kaval demo --nested`: this same command in a nested host, whose AMD-V is emulated, boots Linux.
final class NestedDemo {
    private static final Duration LIMIT = Duration.ofHours(1);

    private NestedDemo() {}

    /// @param terminal standard input's, for the guest; null for none
    /// @return the exit status of the command in the nested host
    static int run(LinuxGuest guest, @Nullable Terminal terminal)
            throws IOException, InterruptedException {
        Path kaval = Path.of(System.getProperty("java.home"), "bin", "kaval").toRealPath();
        if (!Files.isExecutable(kaval)) {
            throw new HostUnsupportedException(
                    "the demo in a nested host needs the packaged kaval");
        }
        try (NestedHost host = NestedHost.start(new NestedHost.Settings().withTimeLimit(LIMIT))) {
            host.copyIn(guest.kernel(), "/demo/vmlinuz");
            host.copyIn(guest.initrd(), "/demo/initrd");
            NestedProcess process =
                    host.exec(
                            List.of(
                                    kaval.toString(),
                                    "run",
                                    "--kernel",
                                    "/demo/vmlinuz",
                                    "--initrd",
                                    "/demo/initrd",
                                    "--memory",
                                    "256M",
                                    "--cmdline",
                                    LinuxGuest.commandLine(terminal == null)),
                            new FileOutputStream(FileDescriptor.out),
                            new FileOutputStream(FileDescriptor.err));
            return terminal == null ? process.await(LIMIT) : attend(process, terminal);
        } catch (NestedHostException e) {
            throw new HostUnsupportedException(String.valueOf(e.getMessage()));
        }
    }

    private static int attend(NestedProcess process, Terminal terminal)
            throws IOException, InterruptedException {
        try (RawTerminal _ = RawTerminal.open(terminal)) {
            Thread.ofPlatform().daemon().name("input").start(() -> feed(process));
            return process.await(LIMIT);
        }
    }

    private static void feed(NestedProcess process) {
        var keys = new EscapeKeys(key -> press(process, key));
        byte[] bytes = new byte[4096];
        try (InputStream source = new FileInputStream(FileDescriptor.in);
                OutputStream sink = process.input()) {
            for (int count = source.read(bytes); count >= 0; count = source.read(bytes)) {
                sink.write(bytes, 0, keys.filter(bytes, count));
                sink.flush();
            }
        } catch (IOException _) {
            // the nested host has ended, which the main thread reports, or there is no input
        }
    }

    private static void press(NestedProcess process, EscapeKeys.Key key) {
        if (key != EscapeKeys.Key.QUIT) {
            System.err.println(
                    "\nkaval: in a nested host there is one key: Ctrl-] q ends the guest");
            return;
        }
        try {
            process.kill();
        } catch (IOException _) {
            // it has ended
        }
    }
}
