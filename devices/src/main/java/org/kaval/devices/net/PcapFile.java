package org.kaval.devices.net;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import org.kaval.linux.IoVector;

/// Takes frames down in a file that tcpdump and Wireshark read (pcap, version 2.4, with
/// nanoseconds).
///
/// Any thread (guarded by this). If the file cannot be written, that is said once.
public final class PcapFile implements AutoCloseable {
    private static final int MAGIC_NANOS = 0xa1b2_3c4d;
    private static final int LINKTYPE_ETHERNET = 1;
    private static final int SNAP_LENGTH = 1 << 18;
    private static final int FILE_HEADER = 24;
    private static final int RECORD_HEADER = 16;
    private static final Logger LOG = System.getLogger(PcapFile.class.getName());

    private final Path path;
    private final FileChannel file;
    private final ByteBuffer buffer =
            ByteBuffer.allocateDirect(RECORD_HEADER + NetQueue.HEADER + NetBackend.MAX_FRAME)
                    .order(ByteOrder.LITTLE_ENDIAN);
    private final MemorySegment memory = MemorySegment.ofBuffer(buffer.duplicate().clear());
    private boolean failed;

    private PcapFile(Path path, FileChannel file) {
        this.path = path;
        this.file = file;
    }

    /// Begins a file, which may exist.
    public static PcapFile create(Path path) throws IOException {
        FileChannel file =
                FileChannel.open(
                        path,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.WRITE,
                        StandardOpenOption.TRUNCATE_EXISTING);
        ByteBuffer header =
                ByteBuffer.allocate(FILE_HEADER)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putInt(MAGIC_NANOS)
                        .putShort((short) 2)
                        .putShort((short) 4)
                        .putLong(0)
                        .putInt(SNAP_LENGTH)
                        .putInt(LINKTYPE_ETHERNET)
                        .flip();
        boolean done = false;
        try {
            writeAll(file, header);
            done = true;
            return new PcapFile(path, file);
        } finally {
            if (!done) {
                file.close();
            }
        }
    }

    /// Takes down bytes `from` to `from + length` of `frame`.
    public synchronized void add(IoVector frame, long from, long length) {
        if (failed || length < 0 || length > NetBackend.MAX_FRAME) {
            return;
        }
        Instant now = Instant.now();
        buffer.clear()
                .putInt((int) now.getEpochSecond())
                .putInt(now.getNano())
                .putInt((int) length)
                .putInt((int) length);
        frame.copyTo(from, memory, RECORD_HEADER, length);
        buffer.position(0).limit(RECORD_HEADER + (int) length);
        try {
            writeAll(file, buffer);
        } catch (IOException e) {
            failed = true;
            LOG.log(Level.WARNING, "cannot write {0}: {1}", path, e.getMessage());
        }
    }

    private static void writeAll(FileChannel file, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            file.write(bytes);
        }
    }

    @Override
    public synchronized void close() {
        failed = true;
        try {
            file.close();
        } catch (IOException e) {
            LOG.log(Level.WARNING, "cannot close {0}: {1}", path, e.getMessage());
        }
    }
}
