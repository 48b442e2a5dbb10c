package org.kaval.devices.virtio;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.IoVector;

/// A host whose streams are in this process, and do what a test says.
final class FakeVsockHost implements VsockHost {
    final Map<Integer, Stream> listeners = new HashMap<>(); // taken by who connects
    final Deque<Stream> clients = new ArrayDeque<>();
    int connects;

    /// One end of a stream: the other one is the test.
    static final class Stream implements HostStream {
        private final ByteArrayOutputStream written = new ByteArrayOutputStream();
        private byte[] input = new byte[0];
        private int read;
        int room = Integer.MAX_VALUE;
        boolean atEnd;
        boolean readFails; // once
        boolean writeFails;
        boolean watchFails;
        boolean writingEnded;
        boolean readingEnded;
        boolean closed;
        int reads;
        long token;

        /// What is read next.
        Stream with(byte... bytes) {
            input = bytes;
            read = 0;
            return this;
        }

        Stream with(String text) {
            return with(text.getBytes(StandardCharsets.US_ASCII));
        }

        /// What has been written since the last call.
        byte[] takeWritten() {
            byte[] bytes = written.toByteArray();
            written.reset();
            return bytes;
        }

        String takeWrittenText() {
            return new String(takeWritten(), StandardCharsets.US_ASCII);
        }

        @Override
        public void watch(long newToken) throws ErrnoException {
            token = newToken;
            if (watchFails) {
                throw new ErrnoException("epoll_ctl", "stream", Errno.ENOMEM);
            }
        }

        @Override
        public long read(IoVector into, long length) throws ErrnoException {
            checkOpen();
            reads++;
            if (readFails) {
                readFails = false;
                throw new ErrnoException("readv", "stream", Errno.EIO);
            }
            int count = (int) Math.min(length, input.length - read);
            if (count == 0) {
                return atEnd ? 0 : -1;
            }
            into.copyFrom(0, bytes(input, read, count), 0, count);
            read += count;
            return count;
        }

        @Override
        public long write(IoVector source, long from, long length) throws ErrnoException {
            checkOpen();
            if (writeFails) {
                throw new ErrnoException("writev", "stream", Errno.EPIPE);
            }
            int count = (int) Math.min(length, room);
            MemorySegment bytes = MemorySegment.ofArray(new byte[count]);
            source.copyTo(from, bytes, 0, count);
            written.writeBytes((byte[]) bytes.heapBase().orElseThrow());
            room -= count;
            return count;
        }

        private static MemorySegment bytes(byte[] bytes, int from, int count) {
            return MemorySegment.ofArray(bytes).asSlice(from, count);
        }

        private void checkOpen() {
            if (closed) {
                throw new AssertionError("it is closed");
            }
        }

        @Override
        public void endWriting() {
            checkOpen();
            writingEnded = true;
        }

        @Override
        public void endReading() {
            checkOpen();
            readingEnded = true;
        }

        @Override
        public void close() {
            checkOpen();
            closed = true;
        }
    }

    @Override
    public @Nullable HostStream connect(int port) {
        connects++;
        return listeners.remove(port);
    }

    @Override
    public @Nullable HostStream accept() {
        return clients.poll();
    }
}
