package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;
import org.kaval.machine.boot.BootContext;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.memory.Backing;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;

/// What all contenders boot: Debian's cloud kernel as it is, and an initramfs whose init says that
/// it runs.
///
/// @param folder where they are
record BootFiles(Path folder) {
    /// What init says first.
    static final String MARK = "init has started";

    static final String COMMAND_LINE = "console=ttyS0 quiet panic=-1 cryptomgr.notests";

    /// Of the guest's RAM.
    static final int MEBIBYTES = 256;

    private static final String INIT =
            """
            echo "%s"
            sleep 1000
            """
                    .formatted(MARK);

    Path kernel() {
        return folder.resolve("vmlinuz");
    }

    Path initrd() {
        return folder.resolve("initrd");
    }

    /// Where Kaval keeps what it has decompressed.
    Path cache() {
        return folder.resolve("decompressed");
    }

    /// Makes them.
    void make() throws IOException, InterruptedException {
        Files.createDirectories(folder);
        var packages = new DebianPackages(ArtifactCache.ofUser());
        Files.copy(
                DebianKernel.cloud(packages).image(),
                kernel(),
                StandardCopyOption.REPLACE_EXISTING);
        Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                .init(INIT)
                .writeTo(initrd());
        var ram = List.of(new GuestRange(0, (long) MEBIBYTES << 20));
        try (GuestMemory memory = GuestMemory.allocate(ram, Backing.anonymous())) {
            KernelBoot.of(kernel()).fastBoot(true).cache(cache()).load(BootContext.of(memory));
        }
    }
}
