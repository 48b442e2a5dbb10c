package org.kaval.nested.guest;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ProtocolException;
import java.nio.charset.StandardCharsets;

/// The messages between a host and the agent in its nested host, and between any two programs that
/// share nothing but a stream of bytes.
///
/// | bytes | what                                     |
/// |------:|------------------------------------------|
/// |     1 | type                                     |
/// |     4 | stream: which process or test it is about |
/// |     4 | length of the payload, up to 1 MiB       |
/// |       | payload                                  |
///
/// Numbers are big-endian. Sending is thread-safe, each frame goes out whole; receiving is for one
/// thread.
public final class Frames {
    /// The largest payload: whoever sends more splits it.
    public static final int MAX_PAYLOAD = 1 << 20;

    private final DataInputStream in;
    private final DataOutputStream out; // guarded by itself

    /// One message.
    public static final class Frame {
        private final int type;
        private final int stream;
        private final byte[] payload;

        /// @param payload is not copied
        public Frame(int type, int stream, byte[] payload) {
            this.type = type;
            this.stream = stream;
            this.payload = payload;
        }

        public int type() {
            return type;
        }

        public int stream() {
            return stream;
        }

        /// Not a copy.
        public byte[] payload() {
            return payload;
        }

        /// The payload as text.
        public String text() {
            return new String(payload, StandardCharsets.UTF_8);
        }
    }

    /// @param out is flushed after each frame
    public Frames(InputStream in, OutputStream out) {
        this.in = new DataInputStream(in);
        this.out = new DataOutputStream(out);
    }

    /// Waits for the next frame.
    ///
    /// @throws EOFException when there is none
    /// @throws ProtocolException when what came is none
    public Frame receive() throws IOException {
        int type = in.readUnsignedByte();
        int stream = in.readInt();
        int length = in.readInt();
        if (length < 0 || length > MAX_PAYLOAD) {
            throw new ProtocolException(
                    "frame of type %d with a payload of %d bytes".formatted(type, length));
        }
        byte[] payload = new byte[length];
        in.readFully(payload);
        return new Frame(type, stream, payload);
    }

    /// Sends text.
    public void send(int type, int stream, String text) throws IOException {
        send(type, stream, text.getBytes(StandardCharsets.UTF_8));
    }

    /// Sends a payload of at most {@link #MAX_PAYLOAD} bytes.
    public void send(int type, int stream, byte[] payload) throws IOException {
        send(type, stream, payload, 0, payload.length);
    }

    /// Sends a part of `payload`, of at most {@link #MAX_PAYLOAD} bytes.
    public void send(int type, int stream, byte[] payload, int offset, int length)
            throws IOException {
        if (length > MAX_PAYLOAD) {
            throw new IllegalArgumentException("payload of " + length + " bytes");
        }
        synchronized (out) {
            out.writeByte(type);
            out.writeInt(stream);
            out.writeInt(length);
            out.write(payload, offset, length);
            out.flush();
        }
    }
}
