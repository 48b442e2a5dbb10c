package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.AlsoOnVtX;
import org.kaval.testing.FileMaker;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's unmodified cloud kernel boots to its init and asks for a restart, on VT-x too: with no
/// files but its own, so that it is small enough for there.
@NeedsHardwareVirtualization
@AlsoOnVtX
@NeedsFiles(value = LinuxRestartTest.FOLDER, madeBy = LinuxRestartTest.Guest.class)
class LinuxRestartTest {
    static final String FOLDER = "target/guests/restart";

    private static final Duration LIMIT = Duration.ofMinutes(4);

    /// The kernel, and an init that restarts.
    static final class Guest implements FileMaker {
        private static final String INIT =
                """
                export PATH=/bin:/sbin
                echo "init runs"
                reboot -f
                """;

        @Override
        public void make(Path module) throws IOException, InterruptedException {
            Path folder = Files.createDirectories(module.resolve(FOLDER));
            var packages = new DebianPackages(ArtifactCache.ofUser());
            Files.copy(
                    DebianKernel.cloud(packages).image(),
                    folder.resolve("vmlinuz"),
                    StandardCopyOption.REPLACE_EXISTING);
            Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                    .init(INIT)
                    .writeTo(folder.resolve("initrd"));
        }
    }

    @Test
    void restartEndsAsSuch() throws Exception {
        Path folder = Path.of(System.getProperty("basedir", ""), FOLDER).toAbsolutePath();
        var console = new Transcript();
        try (Vm vm =
                Vm.builder()
                        .memory(128L << 20)
                        .boot(
                                KernelBoot.of(folder.resolve("vmlinuz"))
                                        .initrd(folder.resolve("initrd"))
                                        .commandLine(
                                                "console=ttyS0 quiet panic=-1 cryptomgr.notests"))
                        .serialOutput(console)
                        .build()) {
            vm.start();
            assertEquals(new VmOutcome.Rebooted(), vm.awaitExit(LIMIT), console.toString());
        }
        assertTrue(console.contains("init runs"), console.toString());
    }
}
