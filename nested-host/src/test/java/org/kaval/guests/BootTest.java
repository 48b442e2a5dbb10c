package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Boots what this package makes, in QEMU, which emulates the whole machine: no KVM is needed.
class BootTest {
    @TempDir Path directory;

    @Test
    void kernelStartsInitWhichInsertsModulesAndReadsTheDisk() throws Exception {
        var packages = new DebianPackages(ArtifactCache.ofUser());
        DebianKernel kernel = DebianKernel.cloud(packages);
        Path tree = directory.resolve("tree");
        Path etc = Files.createDirectories(tree.resolve("etc"));
        Files.writeString(etc.resolve("greeting"), "hello from the disk\n");
        Path image = directory.resolve("disk.ext4");
        Ext4Image.create(image, tree, 16 << 20, "greetings");
        Path initramfs = directory.resolve("initramfs.cpio");
        Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                .modules(kernel.modules("virtio_pci", "virtio_blk", "kvm"))
                .init(
                        """
                        args_kvm=ignore_msrs=1
                        mount -t devtmpfs dev /dev
                        mount -t proc proc /proc
                        mount -t sysfs sys /sys
                        . /lib/modules/insert
                        mount -t ext4 -o ro /dev/vda /mnt
                        echo "release $(uname -r)"
                        echo "modules $(cut -d' ' -f1 /proc/modules | grep -xE 'virtio_blk|kvm' | sort | xargs)"
                        echo "parameter $(cat /sys/module/kvm/parameters/ignore_msrs)"
                        echo "greeting $(cat /mnt/etc/greeting)"
                        echo "owner $(stat -c '%u %g %a' /mnt/etc/greeting)"
                        poweroff -f
                        """)
                .writeTo(initramfs);

        List<String> console = boot(kernel, initramfs, image);

        assertTrue(console.contains("release " + kernel.release()), console::toString);
        assertTrue(console.contains("modules kvm virtio_blk"), console::toString);
        assertTrue(console.contains("parameter Y"), console::toString);
        assertTrue(console.contains("greeting hello from the disk"), console::toString);
        assertTrue(console.contains("owner 0 0 644"), console::toString);
        assertFalse(console.stream().anyMatch(l -> l.contains("cannot insert")), console::toString);
    }

    private static List<String> boot(DebianKernel kernel, Path initramfs, Path disk)
            throws Exception {
        return Tool.of("qemu-system-x86_64", "qemu-system-x86")
                .within(Duration.ofMinutes(4))
                .run(
                        "to boot",
                        "-machine",
                        "q35,accel=tcg",
                        "-cpu",
                        "max",
                        "-m",
                        "512",
                        "-nodefaults",
                        "-no-user-config",
                        "-no-reboot",
                        "-display",
                        "none",
                        "-serial",
                        "stdio",
                        "-drive",
                        "file=" + disk + ",if=none,id=disk,format=raw,readonly=on",
                        "-device",
                        "virtio-blk-pci,drive=disk",
                        "-kernel",
                        kernel.image().toString(),
                        "-initrd",
                        initramfs.toString(),
                        "-append",
                        "console=ttyS0 panic=-1 quiet cryptomgr.notests")
                .lines()
                .map(String::strip)
                .toList();
    }
}
