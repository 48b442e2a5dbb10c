package org.kaval.nested;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.BufferedReader;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/// QEMU's machine protocol: a JSON object per line each way (QEMU's qmp-spec). For one thread.
final class Qmp implements Closeable {
    private final SocketChannel socket;
    private final BufferedReader in;
    private final OutputStream out;

    /// @param socket is connected, and closed with this object
    Qmp(SocketChannel socket) throws IOException {
        this.socket = socket;
        this.in =
                new BufferedReader(
                        new InputStreamReader(
                                Channels.newInputStream(socket), StandardCharsets.UTF_8));
        this.out = Channels.newOutputStream(socket);
        read(); // the greeting
        execute("qmp_capabilities", Map.of());
    }

    /// @return what the command returned
    Map<String, Object> execute(String command, Map<String, ?> arguments) throws IOException {
        String line = JSON.std.asString(Map.of("execute", command, "arguments", arguments));
        out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        while (true) {
            Map<String, Object> reply = read(); // or an event, which nobody asked for
            if (reply.get("error") instanceof Map<?, ?> error) {
                throw new NestedHostException("QEMU: %s: %s".formatted(command, error.get("desc")));
            }
            if (reply.get("return") instanceof Map<?, ?> result) {
                @SuppressWarnings("unchecked") // a JSON object has strings as keys
                var typed = (Map<String, Object>) result;
                return typed;
            }
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }

    private Map<String, Object> read() throws IOException {
        String line = in.readLine();
        if (line == null) {
            throw new EOFException("QEMU has closed its control socket");
        }
        return JSON.std.mapFrom(line);
    }
}
