package org.kaval.ci.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// QEMU's machine protocol, as far as a benchmark needs it.
final class Qmp implements AutoCloseable {
    private final SocketChannel socket;
    private final BufferedReader lines;

    /// Connects to a QEMU that waits for that.
    Qmp(Path path) throws IOException {
        socket = SocketChannel.open(UnixDomainSocketAddress.of(path));
        lines = new BufferedReader(Channels.newReader(socket, StandardCharsets.UTF_8));
        await("\"QMP\"");
        execute("{\"execute\": \"qmp_capabilities\"}");
    }

    /// Gives a command, and returns its answer.
    String execute(String command) throws IOException {
        send(command);
        return await("\"return\"");
    }

    /// Gives a command that may come too early, and tells whether it did not.
    boolean isAccepted(String command) throws IOException {
        send(command);
        while (true) {
            String line = lines.readLine();
            if (line == null) {
                throw new IOException("qemu has ended");
            }
            if (line.contains("\"return\"") || line.contains("\"error\"")) {
                return line.contains("\"return\"");
            }
        }
    }

    private void send(String command) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap((command + "\n").getBytes(StandardCharsets.UTF_8));
        while (bytes.hasRemaining()) {
            socket.write(bytes);
        }
    }

    /// The next line that has this in it.
    String await(String part) throws IOException {
        while (true) {
            String line = lines.readLine();
            if (line == null || line.contains("\"error\"") || line.contains("\"failed\"")) {
                throw new IOException("qemu said: " + line);
            }
            if (line.contains(part)) {
                return line;
            }
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
