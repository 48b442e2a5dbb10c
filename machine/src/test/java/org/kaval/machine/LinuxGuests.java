package org.kaval.machine;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.DirectoryStream;
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
import org.kaval.testing.FileMaker;

/// Makes what Linux guests are booted from: Debian's kernels as they are, what is compressed in
/// them, and an initramfs whose init (`src/test/guest/init`) tells what it finds.
final class LinuxGuests implements FileMaker {
    static final String FOLDER = "target/guests/linux";

    private static final String COMPLAINTS = "complaints-under-qemu";
    private static final String SOURCES = "src/test/guest";

    /// The power button and what reads it are modules.
    private static final String[] MODULES = {"button", "evdev"};

    /// Where kernels fit in that are decompressed to be kept.
    private static final GuestRange MEMORY = new GuestRange(0, 512L << 20);

    private static final int XEN_ELFNOTE_PHYS32_ENTRY = 18;

    static Path folder() {
        return Path.of(System.getProperty("basedir", "")).resolve(FOLDER).toAbsolutePath();
    }

    /// What these kernels complain of under QEMU; its first line says which they were, and how it
    /// was made.
    static Path complaintsUnderQemu() {
        return folder().resolve(COMPLAINTS);
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        var packages = new DebianPackages(ArtifactCache.ofUser());
        Path init = module.resolve(SOURCES).resolve("init");
        Files.createDirectories(folder());
        Files.copy(
                module.resolve(SOURCES).resolve(COMPLAINTS),
                complaintsUnderQemu(),
                StandardCopyOption.REPLACE_EXISTING);
        for (LinuxKernel kernel : LinuxKernel.values()) {
            make(kernel, packages, Files.readString(init));
        }
    }

    private static void make(LinuxKernel kernel, DebianPackages packages, String init)
            throws IOException, InterruptedException {
        Files.createDirectories(kernel.folder());
        DebianKernel debian = kernel.of(packages);
        Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                .modules(debian.modules(MODULES))
                .init(init)
                .writeTo(kernel.initrd());
        if (!Files.exists(kernel.bzImage())
                || Files.mismatch(debian.image(), kernel.bzImage()) >= 0) {
            decompress(kernel, debian.image());
            Files.copy(debian.image(), kernel.bzImage(), StandardCopyOption.REPLACE_EXISTING);
        }
        if (kernel == LinuxKernel.CLOUD) { // one is enough: it is large
            byte[] elf = Files.readAllBytes(kernel.elf());
            hideNote(elf);
            Files.write(kernel.withoutNote(), elf);
        }
    }

    /// The host that tests are run from does it faster than the nested one.
    private static void decompress(LinuxKernel kernel, Path bzImage) throws IOException {
        Files.createDirectories(kernel.cache());
        try (DirectoryStream<Path> old = Files.newDirectoryStream(kernel.cache())) {
            for (Path file : old) {
                Files.delete(file);
            }
        }
        try (GuestMemory memory = GuestMemory.allocate(List.of(MEMORY), Backing.anonymous())) {
            KernelBoot.of(bzImage)
                    .fastBoot(true)
                    .cache(kernel.cache())
                    .load(BootContext.of(memory));
        }
    }

    /// Gives the note with the entry of PVH a type that is nobody's.
    private static void hideNote(byte[] elf) throws IOException {
        ByteBuffer file = ByteBuffer.wrap(elf).order(ByteOrder.LITTLE_ENDIAN);
        int name = 0x006e_6558; // "Xen", which follows the sizes of name and content, and the type
        for (int at = 0; at <= elf.length - 16; at += 4) {
            if (file.getInt(at) == 4
                    && file.getInt(at + 8) == XEN_ELFNOTE_PHYS32_ENTRY
                    && file.getInt(at + 12) == name) {
                file.putInt(at + 8, -1);
                return;
            }
        }
        throw new IOException("a kernel without a note of PVH");
    }
}
