package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.Qcow2Check.Repair;

/// Against `qemu-img check` on images that are damaged on purpose.
class Qcow2CheckTest {
    private static final int MIB = 1 << 20;

    @TempDir private Path directory = Path.of("");

    private Path image = Path.of("");
    private byte[] content = {};

    @BeforeEach
    void make() throws Exception {
        image = directory.resolve("image.qcow2");
        Images.create(image, Qcow2Format.of(4 * MIB).withClusterBits(12));
        content = Bytes.random(RandomGeneratorFactory.of("L64X128MixRandom").create(3), MIB);
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            Bytes.write(ours, 0, content);
        }
    }

    @Test
    void wholeImageIsClean() throws Exception {
        CheckResult result = check(Repair.NOTHING);
        assertTrue(result.isClean());
        assertEquals(0, result.corruptions() + result.leaks());
        assertEquals(256, result.allocated());
        assertEquals(1024, result.total());
        assertEquals(Files.size(image), result.end());
    }

    @Test
    void leaksAreFoundAndMended() throws Exception {
        // the first entry of the first L2 table is gone
        change(l2(0), 0);
        assertEquals(3, Qemu.run("qemu-img", "check", image).status());
        CheckResult result = check(Repair.NOTHING);
        assertEquals(1, result.leaks());
        assertEquals(0, result.corruptions());
        assertFalse(result.isClean());

        assertTrue(check(Repair.LEAKS).isClean());
        Qemu.assertClean(image);
        assertTrue(check(Repair.NOTHING).isClean());
    }

    @Test
    void missingCountsAreFoundAndMended() throws Exception {
        // the refcount block loses 8 counts, those of data
        change(refcountBlock() + 40, 0);
        change(refcountBlock() + 48, 0);
        assertEquals(2, Qemu.run("qemu-img", "check", image).status());
        CheckResult result = check(Repair.NOTHING);
        assertEquals(8, result.corruptions());
        assertTrue(
                result.problems().getFirst().endsWith("counted 0 times, expected 1"),
                result.problems()::toString);
        assertFalse(check(Repair.LEAKS).isClean());

        assertTrue(check(Repair.ALL).isClean());
        Qemu.assertClean(image);
        assertContent();
    }

    @Test
    void missingBlockOfCountsIsMadeAnew() throws Exception {
        change(readLong(Qcow2.REFCOUNT_TABLE_OFFSET), 0);
        assertTrue(check(Repair.ALL).isClean());
        Qemu.assertClean(image);
        assertContent();
    }

    @Test
    void wrongMarkIsMended() throws Exception {
        change(l2(3), readLong(l2(3)) & ~Qcow2.COPIED);
        assertEquals(1, check(Repair.NOTHING).corruptions());
        assertTrue(check(Repair.ALL).isClean());
        Qemu.assertClean(image);
        assertContent();
    }

    @Test
    void referenceOutOfTheFileStaysAnError() throws Exception {
        change(l2(5), 1L << 40 | Qcow2.COPIED);
        CheckResult result = check(Repair.ALL);
        assertFalse(result.isClean());
        assertEquals(
                "%s: offset 0x%x: a cluster of the disk at 0x10000000000, expected a multiple of"
                                .formatted(image, l2(5))
                        + " 0x1000 within the file",
                result.problems().getFirst());
    }

    @Test
    void imageThatWasNotClosedIsMendedWhenItIsOpened() throws Exception {
        change(refcountBlock() + 40, 0);
        change(Qcow2.INCOMPATIBLE, Qcow2.DIRTY);
        assertContent(); // for reading, nothing is changed
        assertEquals(Qcow2.DIRTY, readLong(Qcow2.INCOMPATIBLE));
        Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE).close();
        assertEquals(0, readLong(Qcow2.INCOMPATIBLE));
        Qemu.assertClean(image);
        assertContent();
    }

    @Test
    void corruptImageIsNotWrittenUntilItIsMended() throws Exception {
        change(Qcow2.INCOMPATIBLE, Qcow2.CORRUPT);
        var refused =
                assertThrows(
                        IOException.class,
                        () -> Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE).close());
        assertEquals(
                image
                        + ": is marked as corrupt; open it read-only, or run"
                        + " kaval disk check --repair all",
                refused.getMessage());
        assertContent();
        change(l2(3), readLong(l2(3)) & ~Qcow2.COPIED);
        assertTrue(check(Repair.ALL).isClean());
        Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE).close();
    }

    @Test
    void markOfABitmapThatIsNotKeptIsTakenAway() throws Exception {
        Qemu.img("bitmap", "--add", "-f", "qcow2", image, "b0");
        assertEquals(1, readLong(Qcow2.AUTOCLEAR));
        Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE).close();
        assertEquals(0, readLong(Qcow2.AUTOCLEAR));
    }

    @Test
    void snapshotsAreCounted() throws Exception {
        Qemu.img("snapshot", "-c", "one", image);
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.WRITABLE)) {
            Bytes.write(ours, 0, Bytes.of(1, MIB / 2));
        }
        assertEquals(0, check(Repair.NOTHING).corruptions());
        assertTrue(check(Repair.NOTHING).isClean());
        assertEquals(
                "[one]",
                ImageInfo.of(image, ImageFormat.QCOW2)
                        .details()
                        .orElseThrow()
                        .snapshots()
                        .toString());
    }

    private CheckResult check(Repair repair) throws IOException {
        return Qcow2Check.check(image, repair, Progress.NONE);
    }

    private void assertContent() throws IOException {
        try (BlockImage ours = Images.open(image, ImageFormat.QCOW2, ImageOptions.READ_ONLY)) {
            assertArrayEquals(content, Bytes.read(ours, 0, MIB));
        }
    }

    private long l2(int index) throws IOException {
        return (readLong(readLong(Qcow2.L1_OFFSET)) & Qcow2.OFFSET_MASK) + 8L * index;
    }

    private long refcountBlock() throws IOException {
        return readLong(readLong(Qcow2.REFCOUNT_TABLE_OFFSET));
    }

    private long readLong(long offset) throws IOException {
        return MemorySegment.ofArray(Files.readAllBytes(image)).get(Qcow2.BE64, offset);
    }

    private void change(long offset, long value) throws IOException {
        byte[] bytes = Files.readAllBytes(image);
        MemorySegment.ofArray(bytes).set(Qcow2.BE64, offset, value);
        Files.write(image, bytes);
    }
}
