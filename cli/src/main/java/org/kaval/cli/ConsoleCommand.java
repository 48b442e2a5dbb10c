package org.kaval.cli;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.VmFolder;
import org.kaval.linux.Fd;
import org.kaval.linux.Terminal;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;

/// `kaval console`: this terminal at the console of a machine in the background.
@Command(
        name = "console",
        description = {
            "Connects the terminal with the console of a machine in the background: the last 64 KiB, and",
            "all that follows. Several may watch. Ctrl-] q leaves it, and the machine running."
        })
final class ConsoleCommand implements Callable<Integer> {
    private static final int CHUNK = 4096;
    private static final byte LEAVE = 'q';

    @Mixin CommandSpec common = CommonOptions.mixin();

    @Parameters(paramLabel = "NAME", description = "The machine.")
    String name = "";

    private final CountDownLatch done = new CountDownLatch(1);

    @Override
    public Integer call() throws IOException, InterruptedException {
        VmFolder folder = VmFolder.existing(name);
        if (!folder.isAlive()) {
            throw new ConfigException("name", "'%s' does not run".formatted(name));
        }
        if (!Files.exists(folder.console())) {
            throw new ConfigException(
                    "name",
                    "'%s' has its console elsewhere: it was started without --detach, or with --console"
                            .formatted(name));
        }
        try (SocketChannel channel =
                        SocketChannel.open(UnixDomainSocketAddress.of(folder.console()));
                Fd input = Fd.duplicateOfStandardInput();
                @Nullable RawTerminal raw = rawTerminal(input)) {
            Thread.ofPlatform().name("console-out").daemon().start(() -> show(channel));
            boolean escapes = raw != null;
            Thread.ofPlatform().name("console-in").daemon().start(() -> type(channel, escapes));
            done.await();
        }
        return ExitStatus.OK;
    }

    private static @Nullable RawTerminal rawTerminal(Fd input) throws IOException {
        var terminal = Terminal.of(input);
        return terminal.isPresent() ? RawTerminal.open(terminal.get()) : null;
    }

    private void show(SocketChannel channel) {
        try {
            OutputStream out = new FileOutputStream(FileDescriptor.out);
            Channels.newInputStream(channel).transferTo(out);
        } catch (IOException _) {
            // this end was closed, or nobody reads
        } finally {
            done.countDown();
        }
    }

    /// A terminal has the escape; what is piped in is passed on as it is. Neither its end nor that
    /// of the machine disconnects the output: something may still be on its way.
    private void type(SocketChannel channel, boolean escapes) {
        InputStream in = new FileInputStream(FileDescriptor.in);
        byte[] bytes = new byte[CHUNK];
        boolean escaped = false;
        try {
            for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
                int kept = 0;
                for (int i = 0; i < count; i++) {
                    byte typed = bytes[i];
                    if (escapes && !escaped && typed == EscapeKeys.ESCAPE) {
                        escaped = true;
                    } else if (escaped && typed != EscapeKeys.ESCAPE) {
                        escaped = false;
                        if (typed == LEAVE) {
                            leave(channel, ByteBuffer.wrap(bytes, 0, kept));
                            return;
                        }
                        System.err.println("\nkaval: Ctrl-] q leaves the console");
                    } else {
                        escaped = false;
                        bytes[kept++] = typed;
                    }
                }
                send(channel, ByteBuffer.wrap(bytes, 0, kept));
            }
            channel.shutdownOutput();
        } catch (IOException _) {
            // the machine has ended, or this end was closed
        }
    }

    /// @param typed what came before that
    private void leave(SocketChannel channel, ByteBuffer typed) throws IOException {
        try {
            send(channel, typed);
        } finally {
            done.countDown();
        }
    }

    private static void send(SocketChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }
}
