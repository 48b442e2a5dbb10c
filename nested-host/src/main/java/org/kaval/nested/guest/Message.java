package org.kaval.nested.guest;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// What host and agent tell each other; the numbers are {@link Frames}' types.
public final class Message {
    /// Both ways: a number of the host's own, and the same number back once all is ready.
    public static final int HELLO = 1;

    /// To the agent: start a process, see {@link Start}.
    public static final int START = 2;

    /// To the agent: bytes for the process's standard input.
    public static final int INPUT = 3;

    /// To the agent: its standard input ends.
    public static final int INPUT_END = 4;

    /// To the agent: kill it, with what it has started.
    public static final int KILL = 5;

    /// From the agent: the process runs; payload is its number in decimal digits.
    public static final int STARTED = 6;

    /// From the agent: bytes from the process's standard output.
    public static final int OUTPUT = 7;

    /// From the agent: bytes from its standard error.
    public static final int ERROR = 8;

    /// From the agent, last of a stream: the exit status in decimal digits.
    public static final int EXITED = 9;

    /// From the agent, last of a stream: why it could not be started.
    public static final int FAILED = 10;

    /// To the agent: a sign of life is asked for.
    public static final int PING = 11;

    /// From the agent: that sign.
    public static final int PONG = 12;

    private Message() {}

    /// The payload of {@link #START}.
    ///
    /// @param command the program and its arguments
    /// @param environment what is set on top of the agent's own
    /// @param directory where it runs
    public record Start(List<String> command, Map<String, String> environment, String directory) {
        public Start {
            command = List.copyOf(command);
            environment = Map.copyOf(environment);
        }

        public byte[] encode() throws IOException {
            var bytes = new ByteArrayOutputStream();
            var out = new DataOutputStream(bytes);
            out.writeInt(command.size());
            for (String word : command) {
                out.writeUTF(word);
            }
            out.writeInt(environment.size());
            for (Map.Entry<String, String> entry : environment.entrySet()) {
                out.writeUTF(entry.getKey());
                out.writeUTF(entry.getValue());
            }
            out.writeUTF(directory);
            return bytes.toByteArray();
        }

        static Start decode(byte[] payload) throws IOException {
            var in = new DataInputStream(new ByteArrayInputStream(payload));
            var command = new ArrayList<String>();
            for (int i = in.readInt(); i > 0; i--) {
                command.add(in.readUTF());
            }
            var environment = new LinkedHashMap<String, String>();
            for (int i = in.readInt(); i > 0; i--) {
                environment.put(in.readUTF(), in.readUTF());
            }
            return new Start(command, environment, in.readUTF());
        }
    }
}
