package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.CloudGuest;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.DebianRoot;
import org.kaval.testing.FileMaker;

/// A Debian with systemd on a disk, and Debian's cloud kernels as they are, each with an initramfs
/// that mounts the disk with serial number `root`, puts the script `src/test/guest/debian-disks`
/// into `/run` and the root's password away, and goes over to the disk's init.
final class DebianGuests implements FileMaker {
    static final String FOLDER = "target/guests/debian";

    /// Whose kernels there are.
    static final List<String> RELEASES = List.of("bookworm", "trixie");

    private static final List<String> PACKAGES =
            List.of("systemd-sysv", "udev", "fio", "e2fsprogs");

    /// fio's package needs much that fio does not.
    private static final List<String> WITHOUT =
            List.of(
                    "usr/bin/perl*",
                    "usr/bin/python3*",
                    "usr/lib/python3*",
                    "usr/lib/udev/hwdb*",
                    "usr/lib/x86_64-linux-gnu/gconv/*",
                    "usr/lib/x86_64-linux-gnu/libperl*",
                    "usr/lib/x86_64-linux-gnu/perl*",
                    "usr/share/perl*",
                    "usr/share/zoneinfo/*",
                    "var/lib/apt/lists/*",
                    "var/lib/dpkg/info/*");

    private static CloudGuest guest(String release) {
        return new CloudGuest(FOLDER + "/" + release);
    }

    static Path kernel(String release) {
        return guest(release).kernel();
    }

    static Path initrd(String release) {
        return guest(release).initrd();
    }

    static Path root() {
        return Path.of(System.getProperty("basedir", ""), FOLDER, "root.img").toAbsolutePath();
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        ArtifactCache cache = ArtifactCache.ofUser();
        Path scripts = module.resolve("src/test/guest");
        String init = Files.readString(scripts.resolve("debian-init"));
        for (String release : RELEASES) {
            guest(release)
                    .make(
                            module,
                            DebianKernel.cloud(DebianPackages.ofRelease(cache, release)),
                            Map.of("/disks", scripts.resolve("debian-disks")),
                            init,
                            "virtio_pci",
                            "virtio_mmio",
                            "virtio_blk",
                            "ext4");
        }
        Path root = DebianRoot.image(cache, RELEASES.getFirst(), PACKAGES, WITHOUT);
        Files.copy(root, root(), StandardCopyOption.REPLACE_EXISTING);
    }
}
