package org.kaval.devices.block;

import java.io.IOException;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;
import org.kaval.linux.FileLock;

/// Keeps two from writing the same image, or one from writing what another reads: with the locks
/// that QEMU and its tools set, so that they and we heed each other.
///
/// There is a byte for each thing that one may do to an image, on which one who does it has a
/// shared lock, and another byte for each, on which one who does not let others do it has. Whether
/// somebody stands in the way is asked after one's own locks are set, so that of two at the same
/// time both may be refused, but never none.
final class ImageLock {
    private static final int USES = 100;
    private static final int REFUSES_OTHERS = 200;

    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final int RESIZE = 3;

    private ImageLock() {}

    /// Locks `file` until it is closed.
    ///
    /// @throws IOException if it is in use, in one line that names the file
    static void take(Fd file, boolean readOnly) throws IOException {
        int[] used = readOnly ? new int[] {READ} : new int[] {READ, WRITE, RESIZE};
        int[] refused = {WRITE, RESIZE};
        for (int right : used) {
            lock(file, USES + right);
        }
        for (int right : refused) {
            lock(file, REFUSES_OTHERS + right);
        }
        for (int right : used) {
            check(file, REFUSES_OTHERS + right, readOnly);
        }
        for (int right : refused) {
            check(file, USES + right, readOnly);
        }
    }

    private static void lock(Fd file, int at) throws IOException {
        if (!FileLock.tryLock(file, FileLock.Kind.SHARED, at, 1)) {
            throw inUse(file, "by a program that locks all of it");
        }
    }

    private static void check(Fd file, int at, boolean readOnly)
            throws ErrnoException, IOException {
        if (!FileLock.isFree(file, FileLock.Kind.EXCLUSIVE, at, 1)) {
            throw inUse(
                    file,
                    readOnly
                            ? "for writing; it can be read when that has ended"
                            : "; one at a time may write it, and nobody read it meanwhile");
        }
    }

    private static IOException inUse(Fd file, String how) {
        return new IOException(file.name() + ": in use" + (how.startsWith(";") ? "" : " ") + how);
    }
}
