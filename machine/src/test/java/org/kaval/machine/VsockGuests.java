package org.kaval.machine;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;
import org.kaval.testing.FileMaker;

/// Debian's cloud kernel as it is, and an initramfs with a program that serves at ports of the
/// guest's (`src/test/guest/vsock.c`).
final class VsockGuests implements FileMaker {
    static final String FOLDER = "target/guests/vsock";

    private static final String INIT =
            """
            export PATH=/bin:/sbin:/usr/bin:/usr/sbin
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            echo 3 >/proc/sys/kernel/printk
            . /lib/modules/insert | sed 's/^/complaint: /'
            /vsock
            dmesg | grep -E 'BUG|Oops|nobody cared|blocked for more' | sed 's/^/complaint: /'
            poweroff -f
            """;

    static Path kernel() {
        return folder().resolve("vmlinuz");
    }

    static Path initrd() {
        return folder().resolve("initrd");
    }

    private static Path folder() {
        return Path.of(System.getProperty("basedir", "")).resolve(FOLDER).toAbsolutePath();
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        Path folder = Files.createDirectories(module.resolve(FOLDER));
        Path source = module.resolve("src/test/guest/vsock.c");
        Path program = folder.resolve("program");
        compile(source, program);
        var packages = new DebianPackages(ArtifactCache.ofUser());
        DebianKernel kernel = DebianKernel.cloud(packages);
        Files.copy(kernel.image(), folder.resolve("vmlinuz"), StandardCopyOption.REPLACE_EXISTING);
        Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                .modules(kernel.modules("virtio_pci", "vmw_vsock_virtio_transport"))
                .file("vsock", 0755, program)
                .init(INIT)
                .writeTo(folder.resolve("initrd"));
    }

    /// Such that it needs nothing of the guest's but its kernel.
    private static void compile(Path source, Path program)
            throws IOException, InterruptedException {
        Process compiler =
                new ProcessBuilder(
                                List.of(
                                        "gcc",
                                        "-Wall",
                                        "-Werror",
                                        "-O2",
                                        "-static",
                                        "-o",
                                        program.toString(),
                                        source.toString()))
                        .redirectErrorStream(true)
                        .start();
        String output =
                new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (compiler.waitFor() != 0) {
            throw new IOException("gcc failed on " + source + ":\n" + output);
        }
    }
}
