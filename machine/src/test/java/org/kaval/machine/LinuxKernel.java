package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.machine.boot.KernelBoot;

/// Kernels as Debian ships them.
enum LinuxKernel {
    /// For virtual machines: `linux-image-cloud-amd64`.
    CLOUD {
        @Override
        DebianKernel of(DebianPackages packages) throws IOException, InterruptedException {
            return DebianKernel.cloud(packages);
        }
    },
    /// For all machines, with nearly all drivers as modules: `linux-image-amd64`.
    STANDARD {
        @Override
        DebianKernel of(DebianPackages packages) throws IOException, InterruptedException {
            return DebianKernel.standard(packages);
        }
    };

    /// What a kernel can be booted by.
    enum Protocol {
        /// The bzImage, which decompresses itself.
        BZIMAGE,
        /// The bzImage, decompressed by the host.
        FAST,
        /// What is compressed in it, by its note of PVH.
        PVH,
        /// The same without its note of PVH.
        ELF
    }

    abstract DebianKernel of(DebianPackages packages) throws IOException, InterruptedException;

    /// Where its files are.
    Path folder() {
        return LinuxGuests.folder().resolve(toString());
    }

    Path bzImage() {
        return folder().resolve("vmlinuz");
    }

    /// What is compressed in the bzImage, without the note; of {@link #CLOUD} only.
    Path withoutNote() {
        return folder().resolve("vmlinux-without-note");
    }

    Path initrd() {
        return folder().resolve("initrd");
    }

    /// Where the host keeps what it has decompressed.
    Path cache() {
        return folder().resolve("decompressed");
    }

    /// What is compressed in the bzImage; behind its end are some bytes of the cache's own.
    Path elf() throws IOException {
        try (Stream<Path> files = Files.list(cache())) {
            return files.findFirst()
                    .orElseThrow(() -> new IOException(cache() + ": nothing in it"));
        }
    }

    /// A boot with {@link LinuxGuests}' initrd.
    KernelBoot by(Protocol protocol) throws IOException {
        KernelBoot boot =
                switch (protocol) {
                    case BZIMAGE -> KernelBoot.of(bzImage());
                    case FAST -> KernelBoot.of(bzImage()).fastBoot(true).cache(cache());
                    case PVH -> KernelBoot.of(elf());
                    case ELF -> KernelBoot.of(withoutNote());
                };
        return boot.initrd(initrd());
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
