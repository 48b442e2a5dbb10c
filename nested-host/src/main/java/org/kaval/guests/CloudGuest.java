package org.kaval.guests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;

/// Debian's cloud kernel as it is, and an initramfs with an init of a test's own, in a folder of
/// the module's.
///
/// @param folder from the module's, which is the property `basedir` or the working directory
public record CloudGuest(String folder) {
    /// What each such init begins with.
    private static final String BEGIN =
            """
            export PATH=/bin:/sbin:/usr/bin:/usr/sbin
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            echo 3 >/proc/sys/kernel/printk
            . /lib/modules/insert | sed 's/^/complaint: /'
            """;

    /// Where the kernel is.
    public Path kernel() {
        return file("vmlinuz");
    }

    /// Where the initramfs is.
    public Path initrd() {
        return file("initrd");
    }

    /// Where a file of that name is in the folder.
    public Path file(String name) {
        return Path.of(System.getProperty("basedir", ""))
                .resolve(folder)
                .toAbsolutePath()
                .resolve(name);
    }

    /// Makes both, with the kernel of the Debian that the tests have.
    ///
    /// @param programs what else is in the initramfs, by path
    /// @param init what the guest does once `/proc`, `/sys`, `/dev` and the modules are there
    public void make(Path module, Map<String, Path> programs, String init, String... modules)
            throws IOException, InterruptedException {
        var packages = new DebianPackages(ArtifactCache.ofUser());
        make(module, DebianKernel.cloud(packages), programs, init, modules);
    }

    /// Makes both, with that kernel.
    public void make(
            Path module,
            DebianKernel kernel,
            Map<String, Path> programs,
            String init,
            String... modules)
            throws IOException, InterruptedException {
        Path target = Files.createDirectories(module.resolve(folder));
        var packages = new DebianPackages(ArtifactCache.ofUser());
        Files.copy(kernel.image(), target.resolve("vmlinuz"), StandardCopyOption.REPLACE_EXISTING);
        Initramfs image =
                Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                        .modules(kernel.modules(modules));
        for (Map.Entry<String, Path> program : programs.entrySet()) {
            image.file(program.getKey(), 0755, program.getValue());
        }
        image.init(BEGIN + init).writeTo(target.resolve("initrd"));
    }
}
