package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Needs Debian's servers, or what the user's cache has from them.
class RealPackagesTest {
    private static final DebianPackages PACKAGES = new DebianPackages(ArtifactCache.ofUser());

    private static List<String> names(List<Path> modules) {
        return modules.stream().map(path -> path.getFileName().toString()).toList();
    }

    @Test
    void cloudKernelHasTheModulesOfAVirtualMachine() throws Exception {
        DebianKernel kernel = DebianKernel.cloud(PACKAGES);
        assertTrue(kernel.release().endsWith("-cloud-amd64"), kernel.release());
        assertTrue(Files.readString(kernel.config()).contains("CONFIG_VIRTIO_PCI=m\n"));
        List<String> names = names(kernel.modules("virtio_pci", "virtio_blk", "kvm-amd", "ext4"));
        assertTrue(names.indexOf("virtio_ring.ko") < names.indexOf("virtio.ko"), names::toString);
        assertTrue(names.indexOf("virtio.ko") < names.indexOf("virtio_pci.ko"), names::toString);
        assertTrue(names.indexOf("kvm.ko") < names.indexOf("kvm-amd.ko"), names::toString);
        assertEquals(names.size(), names.stream().distinct().count());
        assertEquals(kernel.image(), DebianKernel.cloud(PACKAGES).image());
    }

    @Test
    void standardKernelIsAnotherOne() throws Exception {
        DebianKernel kernel = DebianKernel.standard(PACKAGES);
        assertTrue(kernel.release().matches("[0-9.+a-z-]+-amd64"), kernel.release());
        assertTrue(!kernel.release().contains("cloud"), kernel.release());
        List<String> names = names(kernel.modules("e1000e", "btrfs", "virtio_blk"));
        assertTrue(names.contains("e1000e.ko"), names::toString);
        assertTrue(names.indexOf("xor.ko") < names.indexOf("btrfs.ko"), names::toString);
    }

    @Test
    void programRunsInATreeWithItsDependencies() throws Exception {
        Path tree = PACKAGES.unpackWithDependencies("e2fsprogs");
        String linker = tree.resolve("lib64/ld-linux-x86-64.so.2").toString();
        String libraries =
                "%1$s/lib/x86_64-linux-gnu:%1$s/usr/lib/x86_64-linux-gnu".formatted(tree);
        String help =
                Tool.of("env", "coreutils")
                        .run(
                                "to try",
                                linker,
                                "--library-path",
                                libraries,
                                tree + "/sbin/mke2fs",
                                "-V");
        assertEquals("", help, "mke2fs says its version on standard error");
    }
}
