package org.kaval.cli.control;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.SocketException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import org.kaval.machine.ConfigException;

/// Asks a machine that another process runs.
///
/// It speaks just enough HTTP/1.1 for a server whose answers have a length and that closes the
/// connection behind them: the JDK's client knows no Unix sockets, and one that does would take
/// longer to load than the answer.
public final class ControlClient {
    private static final Duration START = Duration.ofSeconds(15);
    private static final int POLL_MILLIS = 10;
    private static final int MAX_ANSWER = 16 << 20;
    private static final byte[] END_OF_HEADERS = "\r\n\r\n".getBytes(StandardCharsets.US_ASCII);

    private final VmFolder folder;

    private ControlClient(VmFolder folder) {
        this.folder = folder;
    }

    /// @throws ConfigException if no machine of that name runs
    public static ControlClient of(String name) throws IOException {
        VmFolder folder = VmFolder.existing(name);
        if (!folder.isAlive()) {
            throw new ConfigException("name", "'%s' does not run".formatted(name));
        }
        return new ControlClient(folder);
    }

    public Fields get(String path) throws IOException, InterruptedException {
        return request("GET", path, Map.of());
    }

    public Fields post(String path, Map<String, Object> body)
            throws IOException, InterruptedException {
        return request("POST", path, body);
    }

    public Fields put(String path, Map<String, Object> body)
            throws IOException, InterruptedException {
        return request("PUT", path, body);
    }

    /// Asks for the machine's end, which may come before the answer.
    public void end(String path, Map<String, Object> body)
            throws IOException, InterruptedException {
        try {
            post(path, body);
        } catch (EndedException _) {
            // that was what it was asked for
        }
    }

    private static final class EndedException extends IOException {
        private static final long serialVersionUID = 1;

        EndedException(String name) {
            super(name + " has ended while it was asked");
        }
    }

    /// @throws ConfigException if the machine says that it cannot
    private Fields request(String method, String path, Map<String, Object> body)
            throws IOException, InterruptedException {
        byte[] content = body.isEmpty() ? new byte[0] : JSON.std.asBytes(body);
        String head =
                "%s %s HTTP/1.1\r\nHost: kaval\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                        .formatted(method, path, content.length);
        var request = new ByteArrayOutputStream();
        request.writeBytes(head.getBytes(StandardCharsets.US_ASCII));
        request.writeBytes(content);
        try (SocketChannel channel = connect()) {
            return parse(exchange(channel, ByteBuffer.wrap(request.toByteArray())));
        }
    }

    private byte[] exchange(SocketChannel channel, ByteBuffer request) throws EndedException {
        try {
            while (request.hasRemaining()) {
                channel.write(request);
            }
            return Channels.newInputStream(channel).readNBytes(MAX_ANSWER);
        } catch (IOException _) {
            throw new EndedException(folder.name());
        }
    }

    private Fields parse(byte[] answer) throws IOException {
        int end = indexOf(answer, END_OF_HEADERS);
        String head = new String(answer, 0, Math.max(end, 0), StandardCharsets.US_ASCII);
        String[] words = head.split(" ", 3);
        if (words.length < 2 || !words[0].startsWith("HTTP/1.")) {
            throw new EndedException(folder.name());
        }
        int from = end + END_OF_HEADERS.length;
        String text = new String(answer, from, answer.length - from, StandardCharsets.UTF_8);
        var fields = new Fields(JSON.std.mapFrom(text));
        if (!words[1].equals("200")) {
            throw new ConfigException(
                    folder.name(), fields.has("error") ? fields.text("error") : head);
        }
        return fields;
    }

    private static int indexOf(byte[] bytes, byte[] wanted) {
        for (int i = 0; i + wanted.length <= bytes.length; i++) {
            if (java.util.Arrays.equals(bytes, i, i + wanted.length, wanted, 0, wanted.length)) {
                return i;
            }
        }
        return -1;
    }

    /// A machine that has just begun may not listen yet.
    private SocketChannel connect() throws IOException, InterruptedException {
        long end = System.nanoTime() + START.toNanos();
        while (true) {
            try {
                return SocketChannel.open(UnixDomainSocketAddress.of(folder.api()));
            } catch (SocketException e) {
                if (!folder.isAlive()) {
                    throw new ConfigException("name", "'%s' does not run".formatted(folder.name()));
                }
                if (System.nanoTime() > end) {
                    throw new IOException(folder.name() + " does not answer: " + e.getMessage(), e);
                }
                Thread.sleep(POLL_MILLIS);
            }
        }
    }
}
