package org.kaval.devices.block;

import java.io.IOException;

/// What is due before an image is written: some are refused, some repaired.
final class Qcow2Opening {
    private Qcow2Opening() {}

    /// @return the header as it is then
    static Qcow2Header prepareForWriting(BlockFile file, Qcow2Header header) throws IOException {
        if (header.has(Qcow2.EXTENDED_L2)) {
            throw new IOException(
                    header.name()
                            + ": has extended L2 entries, which can only be read; open it"
                            + " read-only, or convert it");
        }
        if (header.has(Qcow2.CORRUPT)) {
            throw new IOException(
                    header.name()
                            + ": is marked as corrupt; open it read-only, or run"
                            + " kaval disk check --repair all");
        }
        boolean dirty = header.has(Qcow2.DIRTY);
        if (dirty) {
            repair(file);
        }
        if (header.autoclear() != 0) {
            // what they speak of, dirty bitmaps for one, will not be kept up to date
            writeField(file, Qcow2.AUTOCLEAR, 0);
        }
        return dirty || header.autoclear() != 0 ? Qcow2Header.read(file) : header;
    }

    /// Of an image whose writer did not keep the reference counts, and was cut off.
    private static void repair(BlockFile file) throws IOException {
        CheckResult result = Qcow2Check.check(file, Qcow2Check.Repair.ALL, Progress.NONE);
        if (!result.isClean()) {
            throw new IOException(
                    "%s: was not closed, and %d errors in it cannot be mended, the first: %s"
                            .formatted(
                                    file.name(),
                                    result.corruptions() + result.leaks() - result.repaired(),
                                    result.problems().getFirst()));
        }
    }

    static void writeField(BlockFile file, long offset, long value) throws IOException {
        Buffer field = Buffer.allocate(Long.BYTES);
        field.bytes().set(Qcow2.BE64, 0, value);
        file.write(offset, field.vector(), 0, Long.BYTES);
        file.flush();
    }
}
