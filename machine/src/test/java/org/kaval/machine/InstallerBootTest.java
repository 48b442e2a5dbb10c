package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianPackages;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.testing.FileMaker;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// Debian's installer comes to its first question, on the serial console.
@NeedsHardwareVirtualization
@NeedsFiles(value = InstallerBootTest.FOLDER, madeBy = InstallerBootTest.Installer.class)
class InstallerBootTest {
    static final String FOLDER = "target/guests/installer";

    /// In the nested host the initrd, of a hundred megabytes, takes most of a minute to unpack.
    private static final Duration LIMIT = Duration.ofMinutes(8);

    /// The kernel and the initrd of Debian's package, as they are.
    static final class Installer implements FileMaker {
        private static final String[] FILES = {"linux", "initrd.gz"};

        @Override
        public void make(Path module) throws IOException, InterruptedException {
            Path folder = Files.createDirectories(module.resolve(FOLDER));
            Path images =
                    new DebianPackages(ArtifactCache.ofUser())
                            .unpack("debian-installer-12-netboot-amd64")
                            .resolve("usr/lib/debian-installer/images/12/amd64/text")
                            .resolve("debian-installer/amd64");
            for (String file : FILES) {
                Files.copy(
                        images.resolve(file),
                        folder.resolve(file),
                        StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }

    @Test
    void asksForTheLanguage() throws Exception {
        Path folder = Path.of(System.getProperty("basedir", "")).resolve(FOLDER).toAbsolutePath();
        var console = new Transcript();
        KernelBoot boot =
                KernelBoot.of(folder.resolve("linux"))
                        .initrd(folder.resolve("initrd.gz"))
                        .commandLine("console=ttyS0 quiet cryptomgr.notests");
        try (Vm vm = Vm.builder().memory(1L << 30).boot(boot).serialOutput(console).build()) {
            vm.start();
            console.await("Select a language", LIMIT);
            assertEquals(Optional.empty(), vm.outcome());
        }
    }
}
