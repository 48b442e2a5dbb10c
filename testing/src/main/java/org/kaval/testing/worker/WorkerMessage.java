package org.kaval.testing.worker;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// What the engine and its worker in the nested host tell each other; the numbers are the types of
/// {@link org.kaval.nested.guest.Frames}.
///
/// Every payload is a list of strings, except {@link #OUT} and {@link #ERR}, which are bytes.
public final class WorkerMessage {
    /// To the worker: its class path.
    public static final int CLASS_PATH = 1;

    /// To the worker: system properties, name and value in turn.
    public static final int PROPERTIES = 2;

    /// To the worker: JUnit's configuration parameters, name and value in turn.
    public static final int PARAMETERS = 3;

    /// To the worker, last: the unique ids of what is to run.
    public static final int RUN = 4;

    /// From the worker: unique id, parent's unique id, display name, legacy reporting name, type.
    public static final int REGISTERED = 10;

    /// From the worker: unique id.
    public static final int STARTED = 11;

    /// From the worker: unique id, then nothing, or what {@link Failure} makes of a throwable.
    public static final int SUCCESSFUL = 12;

    /// The same.
    public static final int ABORTED = 13;

    /// The same.
    public static final int FAILED = 14;

    /// From the worker: unique id, reason.
    public static final int SKIPPED = 15;

    /// From the worker: what a test has printed.
    public static final int OUT = 16;

    /// From the worker: what a test has printed as errors.
    public static final int ERR = 17;

    /// From the worker: unique id, then names and values that a test has published.
    public static final int ENTRY = 18;

    /// From the worker: all is done.
    public static final int DONE = 19;

    private WorkerMessage() {}

    public static byte[] encode(List<String> strings) {
        var bytes = new ByteArrayOutputStream();
        var out = new DataOutputStream(bytes);
        try {
            out.writeInt(strings.size());
            for (String string : strings) {
                byte[] utf8 = string.getBytes(StandardCharsets.UTF_8);
                out.writeInt(utf8.length);
                out.write(utf8);
            }
        } catch (IOException impossible) {
            throw new AssertionError("an array takes everything", impossible);
        }
        return bytes.toByteArray();
    }

    /// @throws IOException if the payload is not a list of strings
    public static List<String> decode(byte[] payload) throws IOException {
        var in = new DataInputStream(new ByteArrayInputStream(payload));
        var strings = new ArrayList<String>();
        for (int i = in.readInt(); i > 0; i--) {
            byte[] utf8 = new byte[Math.clamp(in.readInt(), 0, payload.length)];
            in.readFully(utf8);
            strings.add(new String(utf8, StandardCharsets.UTF_8));
        }
        return strings;
    }
}
