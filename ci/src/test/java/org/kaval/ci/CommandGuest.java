package org.kaval.ci;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;

/// Debian's cloud kernel as it is, and an initramfs with an init of a test's own, in a folder of
/// this module's, for `kaval run`.
///
/// @param folder from the module's
record CommandGuest(String folder) {
    /// What each such init begins with.
    private static final String BEGIN =
            """
            export PATH=/bin:/sbin
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            . /lib/modules/insert
            """;

    Path file(String name) {
        return Path.of(System.getProperty("basedir", ""), folder, name).toAbsolutePath();
    }

    /// Makes both.
    ///
    /// @param programs what else is in the initramfs, by path
    /// @param init what the guest does once `/proc`, `/sys`, `/dev` and the modules are there
    void make(Path module, Map<String, Path> programs, String init, String... modules)
            throws IOException, InterruptedException {
        Path target = Files.createDirectories(module.resolve(folder));
        var packages = new DebianPackages(ArtifactCache.ofUser());
        DebianKernel kernel = DebianKernel.cloud(packages);
        Files.copy(kernel.image(), target.resolve("vmlinuz"), StandardCopyOption.REPLACE_EXISTING);
        Initramfs image =
                Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                        .modules(kernel.modules(modules));
        for (Map.Entry<String, Path> program : programs.entrySet()) {
            image.file(program.getKey(), 0755, program.getValue());
        }
        image.init(BEGIN + init).writeTo(target.resolve("initrd"));
    }

    /// Starts it.
    ///
    /// @param words more on the kernel's command line
    RunningCommand start(File input, String words, List<String> options) throws IOException {
        var arguments = new ArrayList<>(List.of("run", "--memory", "256M"));
        arguments.addAll(List.of("--kernel", file("vmlinuz").toString()));
        arguments.addAll(List.of("--initrd", file("initrd").toString()));
        arguments.add("--cmdline");
        arguments.add("console=ttyS0 quiet panic=-1 cryptomgr.notests " + words);
        arguments.addAll(options);
        return RunningCommand.start(input, arguments.toArray(String[]::new));
    }
}
