package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.Qcow2Format;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Ext4Image;
import org.kaval.testing.Effort;
import org.kaval.testing.FileMaker;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Linux writes files to ext4 on a qcow2 image, and Kaval is killed: the image is sound, the
/// journal recovers, and each file is there that was on the disk for the guest.
///
/// As a boot is long where all is emulated, most of the images are copies that are made while Kaval
/// is stopped, which are what it would have left if it had been killed.
@NeedsHardwareVirtualization
@Timeout(value = 40, unit = TimeUnit.MINUTES) // with full effort where all is emulated
@NeedsFiles(
        value = {"../cli/target/kaval", JournalRecoveryTest.FOLDER},
        madeBy = JournalRecoveryTest.Guest.class)
class JournalRecoveryTest {
    static final String FOLDER = "target/guests/journal";

    private static final int IMAGES = Effort.times(100);
    private static final int IMAGES_OF_A_BOOT = 10;
    private static final int MAX_FILES = 8; // between two of them
    private static final long SIZE = 64L << 20;
    private static final int KILLED = 128 + 9;
    private static final Pattern TOLD = Pattern.compile("safe: (\\d+)\r\n");
    private static final File NOTHING = new File("/dev/null");

    private static final CommandGuest GUEST = new CommandGuest(FOLDER);

    /// A kernel, an initramfs, and an ext4 file system with nothing in it.
    static final class Guest implements FileMaker {
        @Override
        public void make(Path module) throws IOException, InterruptedException {
            var packages = new DebianPackages(ArtifactCache.ofUser());
            Path e2fsck = packages.unpack("e2fsck-static").resolve("sbin/e2fsck.static");
            GUEST.make(
                    module,
                    Map.of("/e2fsck", e2fsck),
                    Files.readString(module.resolve("src/test/guest/journal-init")),
                    "virtio_pci",
                    "virtio_blk",
                    "ext4");
            Ext4Image.create(module.resolve(FOLDER).resolve("empty.ext4"), null, SIZE, "empty");
        }
    }

    @TempDir private Path directory;

    private final Random random = new Random(1);
    private final List<Path> images = new ArrayList<>();
    private final List<Integer> safe = new ArrayList<>();

    private static RunningCommand start(String words, List<Path> disks) throws IOException {
        var options = new ArrayList<String>();
        for (Path disk : disks) {
            Collections.addAll(options, "--disk", disk.toString());
        }
        return GUEST.start(NOTHING, words, options);
    }

    /// How many files are safe, as the guest has said.
    private static int filesOf(RunningCommand kaval) {
        return TOLD.matcher(kaval.output())
                .results()
                .mapToInt(line -> Integer.parseInt(line.group(1)))
                .max()
                .orElseThrow();
    }

    private Path next() {
        return directory.resolve("image%d.qcow2".formatted(images.size()));
    }

    private void write(int count) throws Exception {
        Path image = directory.resolve("written.qcow2");
        Images.create(
                image,
                Qcow2Format.of(SIZE).over(GUEST.file("empty.ext4").toString(), ImageFormat.RAW));
        try (RunningCommand kaval = start("test.do=write", List.of(image))) {
            int files = 0;
            for (int i = 1; i < count; i++) {
                files += 1 + random.nextInt(MAX_FILES);
                kaval.awaitOutput("safe: %d\r\n".formatted(files));
                kaval.stop();
                files = filesOf(kaval);
                images.add(Files.copy(image, next()));
                safe.add(files);
                kaval.signal("CONT");
            }
            kaval.awaitOutput("safe: %d\r\n".formatted(files + 1));
            kaval.signal("KILL");
            assertEquals(KILLED, kaval.awaitExit(), kaval.error());
            images.add(Files.move(image, next()));
            safe.add(filesOf(kaval));
            assertFalse(kaval.output().contains("complaint: "), kaval.output());
        }
    }

    @Test
    void allThatWasSafeIsThereAfterwards() throws Exception {
        for (int done = 0; done < IMAGES; done += IMAGES_OF_A_BOOT) {
            write(Math.min(IMAGES_OF_A_BOOT, IMAGES - done));
            for (Path image : images) {
                SoundImages.assertSound(image);
            }
            assertRecovers();
            for (Path image : images) {
                Files.delete(image);
            }
            images.clear();
            safe.clear();
        }
    }

    private void assertRecovers() throws Exception {
        String counts = safe.stream().map(String::valueOf).collect(Collectors.joining(":"));
        try (RunningCommand kaval = start("test.do=check test.safe=" + counts, images)) {
            assertEquals(0, kaval.awaitExit(), kaval.error());
            String told = kaval.output();
            assertFalse(told.contains("complaint: "), told);
            Stream<String> checked = safe.stream().map("checked: %d"::formatted);
            Stream<String> recovered = Stream.of("recovered: " + images.size());
            assertEquals(
                    Stream.concat(checked, recovered).toList(),
                    told.lines()
                            .map(String::strip)
                            .filter(line -> line.matches("(checked|recovered): \\d+"))
                            .toList());
        }
    }
}
