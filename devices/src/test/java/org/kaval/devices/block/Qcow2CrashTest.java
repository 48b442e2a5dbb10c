package org.kaval.devices.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The machine loses power at any moment. What was written to the file until the last flush is
/// there; of what was written after that, any part may be, sector by sector.
///
/// Then no table refers to what is not counted or not written: there may be leaks, nothing else.
/// Each sector of the disk holds what it had at its last flush, or something that was written there
/// later.
class Qcow2CrashTest {
    private static final int SECTOR = 512;
    private static final int DISK = 256 << 10;

    @TempDir private Path directory = Path.of("");

    private RandomGenerator random = RandomGenerator.getDefault();
    private final MemoryFile file = new MemoryFile();

    /// What each sector may hold: one number for all of its bytes.
    private final List<Set<Byte>> allowed = new ArrayList<>();

    private final byte[] now = new byte[DISK / SECTOR];

    /// Index in the changes of the file, and what is allowed from there on.
    private record Moment(int change, List<Set<Byte>> allowed) {}

    private final List<Moment> moments = new ArrayList<>();

    Qcow2CrashTest() {
        for (int i = 0; i < DISK / SECTOR; i++) {
            allowed.add(new HashSet<>(Set.of((byte) 0)));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 9, 4", "2, 10, 3", "3, 12, 6", "4, 9, 0"})
    void imageIsWholeAfterEveryCrash(long seed, int clusterBits, int refcountOrder)
            throws Exception {
        random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        new Qcow2Format(DISK, 3, clusterBits, refcountOrder, false, false, null, null).write(file);
        int created = file.changes().size();
        try (Qcow2Image image = Qcow2Image.over(file, ImageOptions.WRITABLE, null)) {
            moments.add(new Moment(created, copy(allowed)));
            for (int i = 0; i < 250; i++) {
                operate(image);
            }
        }
        List<MemoryFile.Change> changes = file.changes();
        var durable = new MemoryFile();
        changes.subList(0, created).forEach(durable::apply);
        int flushed = created;
        int looked = 0;
        for (int at = created; at <= changes.size(); at++) {
            List<MemoryFile.Change> pending = changes.subList(flushed, at);
            for (int i = 0; i < 3; i++) {
                look(durable, pending, i == 0, at, seed);
                looked++;
            }
            if (at < changes.size() && changes.get(at) instanceof MemoryFile.Change.Flush) {
                changes.subList(flushed, at).forEach(durable::apply);
                flushed = at;
            }
        }
        assertTrue(looked > 1000, "crashes: " + looked);
    }

    private void operate(BlockImage image) throws IOException {
        int what = random.nextInt(20);
        int first = random.nextInt(now.length);
        int count = Math.min(1 + random.nextInt(16), now.length - first);
        if (what < 10) {
            byte value = (byte) (1 + random.nextInt(250));
            change(first, count, value);
            Bytes.write(image, (long) first * SECTOR, Bytes.of(value, count * SECTOR));
        } else if (what < 13) {
            change(first, count, (byte) 0);
            image.discard((long) first * SECTOR, (long) count * SECTOR);
            for (int i = 0; i < count; i++) {
                now[first + i] = Bytes.read(image, (long) (first + i) * SECTOR, 1)[0];
            }
        } else if (what < 16) {
            change(first, count, (byte) 0);
            image.writeZeroes((long) first * SECTOR, (long) count * SECTOR, what % 2 == 0);
        } else if (what < 18) {
            image.flush();
            for (int i = 0; i < now.length; i++) {
                allowed.set(i, new HashSet<>(Set.of(now[i])));
            }
            moments.add(new Moment(file.changes().size(), copy(allowed)));
        } else {
            byte[] read = Bytes.read(image, (long) first * SECTOR, count * SECTOR);
            for (int i = 0; i < count; i++) {
                assertEquals(now[first + i], read[i * SECTOR]);
            }
        }
    }

    /// From now on, sectors may hold something else too.
    private void change(int first, int count, byte value) {
        for (int i = first; i < first + count; i++) {
            now[i] = value;
            allowed.get(i).add(value);
        }
        moments.add(new Moment(file.changes().size(), copy(allowed)));
    }

    private static List<Set<Byte>> copy(List<Set<Byte>> sets) {
        return sets.stream().map(Set::copyOf).toList();
    }

    /// Loses power when `durable` is on the disk, and looks at what is there.
    ///
    /// @param all whether all of `pending` is there, or what chance wants
    private void look(
            MemoryFile durable, List<MemoryFile.Change> pending, boolean all, int at, long seed)
            throws Exception {
        var crashed = new MemoryFile(durable.content());
        for (MemoryFile.Change change : pending) {
            if (all) {
                crashed.apply(change);
            } else {
                applySome(crashed, change);
            }
        }
        byte[] content = crashed.content();
        String where = "seed %d, crash at change %d".formatted(seed, at);
        CheckResult result = Qcow2Check.check(crashed, Qcow2Check.Repair.NOTHING, Progress.NONE);
        assertEquals(0, result.corruptions(), () -> where + ": " + result.problems());
        List<Set<Byte>> sets = allowedAt(at);
        try (Qcow2Image image = Qcow2Image.over(crashed, ImageOptions.READ_ONLY, null)) {
            byte[] disk = Bytes.read(image, 0, DISK);
            for (int i = 0; i < now.length; i++) {
                byte value = disk[i * SECTOR];
                int sector = i;
                assertTrue(
                        sets.get(i).contains(value),
                        () ->
                                "%s: sector %d holds %d, expected one of %s"
                                        .formatted(where, sector, value, sets.get(sector)));
                assertTrue(
                        Arrays.equals(
                                Bytes.of(value, SECTOR),
                                Arrays.copyOfRange(disk, i * SECTOR, (i + 1) * SECTOR)),
                        () -> where + ": sector " + sector + " is mixed");
            }
        }
        if (random.nextInt(400) == 0) {
            qemuFindsLeaksAtMost(content, where);
        }
    }

    private void qemuFindsLeaksAtMost(byte[] content, String where) throws Exception {
        Path image = Files.write(directory.resolve("crashed"), content);
        Qemu.Run run = Qemu.run("qemu-img", "check", "-f", "qcow2", image);
        assertTrue(run.status() == 0 || run.status() == 3, () -> where + ": " + run.output());
    }

    private List<Set<Byte>> allowedAt(int change) {
        // what the last flush before allows, and all that was begun until then
        int begin = 0;
        while (begin + 1 < moments.size() && moments.get(begin + 1).change <= change) {
            begin++;
        }
        int end = Math.min(begin + 1, moments.size() - 1);
        var sets = new ArrayList<Set<Byte>>();
        for (int i = 0; i < now.length; i++) {
            var either = new HashSet<>(moments.get(begin).allowed.get(i));
            either.addAll(moments.get(end).allowed.get(i));
            sets.add(either);
        }
        return sets;
    }

    /// The sectors of a write that chance has let through.
    private void applySome(MemoryFile to, MemoryFile.Change change) {
        switch (change) {
            case MemoryFile.Change.Write(long offset, byte[] bytes) -> {
                for (int from = 0; from < bytes.length; ) {
                    int end =
                            Math.min(
                                    bytes.length, from + SECTOR - (int) ((offset + from) % SECTOR));
                    if (random.nextBoolean()) {
                        to.apply(
                                new MemoryFile.Change.Write(
                                        offset + from, Arrays.copyOfRange(bytes, from, end)));
                    }
                    from = end;
                }
            }
            case MemoryFile.Change.Resize resize -> to.apply(resize);
            case MemoryFile.Change.Flush flush -> to.apply(flush);
        }
    }
}
