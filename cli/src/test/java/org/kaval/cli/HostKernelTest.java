package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.machine.ConfigException;

class HostKernelTest {
    @TempDir Path root;

    @BeforeEach
    void giveItARelease() throws IOException {
        Files.createDirectories(root.resolve("proc/sys/kernel"));
        Files.createDirectories(root.resolve("boot"));
        Files.writeString(root.resolve("proc/sys/kernel/osrelease"), "6.1.0-9\n");
    }

    private Path file(String name) throws IOException {
        return Files.createFile(root.resolve(name));
    }

    @Test
    void isTheOneThatRunsAndNotAnother() throws Exception {
        file("boot/vmlinuz-6.1.0-8");
        file("boot/initrd.img-6.1.0-8");
        Path kernel = file("boot/vmlinuz-6.1.0-9");
        Path initrd = file("boot/initrd.img-6.1.0-9");
        assertEquals(new HostKernel(kernel, initrd), HostKernel.find(root));
    }

    @Test
    void fedorasInitrdHasAnotherName() throws Exception {
        Path kernel = file("boot/vmlinuz-6.1.0-9");
        Path initrd = file("boot/initramfs-6.1.0-9.img");
        assertEquals(new HostKernel(kernel, initrd), HostKernel.find(root));
    }

    @Test
    void archHasNoReleaseInTheNames() throws Exception {
        Path kernel = file("boot/vmlinuz-linux");
        Path initrd = file("boot/initramfs-linux.img");
        assertEquals(new HostKernel(kernel, initrd), HostKernel.find(root));
    }

    @Test
    void initrdOfAnotherKernelIsNotTaken() throws Exception {
        Path kernel = file("boot/vmlinuz-6.1.0-9");
        file("boot/initrd.img-6.1.0-8");
        assertEquals(new HostKernel(kernel, null), HostKernel.find(root));
        assertEquals(kernel + " without an initrd", HostKernel.find(root).toString());
    }

    @Test
    void hostWithoutOneIsToldSo() {
        var refused = assertThrows(ConfigException.class, () -> HostKernel.find(root));
        assertEquals(
                "kernel: none is given, and this host's own is not in /boot", refused.getMessage());
    }
}
