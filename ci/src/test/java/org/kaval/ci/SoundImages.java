package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.kaval.devices.block.CheckResult;
import org.kaval.devices.block.Progress;
import org.kaval.devices.block.Qcow2Check;

/// That a qcow2 image whose writer was killed is sound, as Kaval and `qemu-img` see it.
final class SoundImages {
    private static final Path QEMU_IMG = Path.of("/usr/bin/qemu-img"); // not in the nested host

    private SoundImages() {}

    /// Clusters that are counted and not used are allowed: they were to be used next.
    static void assertSound(Path image) throws IOException, InterruptedException {
        CheckResult result = Qcow2Check.check(image, Qcow2Check.Repair.NOTHING, Progress.NONE);
        assertEquals(0, result.corruptions(), result.problems()::toString);
        if (Files.isExecutable(QEMU_IMG)) {
            Processes.Result theirs =
                    Processes.run(QEMU_IMG.toString(), "check", "-q", image.toString());
            assertTrue(theirs.status() == 0 || theirs.status() == 3, theirs.err() + theirs.out());
        }
    }
}
