package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZOutputStream;

class DebianKernelTest {
    private static final String RELEASE = "6.1.0-1-cloud-amd64";

    @TempDir Path directory;
    private Path tree;
    private Path drivers;
    private ArtifactCache cache;

    @BeforeEach
    void makePackage() throws IOException {
        tree = directory.resolve("6.1.1-1_amd64");
        drivers = Files.createDirectories(tree.resolve("lib/modules", RELEASE, "kernel/drivers"));
        Path boot = Files.createDirectories(tree.resolve("boot"));
        Files.writeString(boot.resolve("vmlinuz-" + RELEASE), "MZ");
        Files.writeString(boot.resolve("config-" + RELEASE), "CONFIG_X=y\n");
        Files.writeString(
                tree.resolve("lib/modules", RELEASE, "modules.builtin"),
                "kernel/fs/ext4/ext4.ko\nkernel/lib/lib-crc16.ko\n");
        cache = new ArtifactCache(directory.resolve("cache"));
    }

    private void module(String file, String... modinfo) throws IOException {
        Files.write(drivers.resolve(file), KernelModuleFile.of(modinfo));
    }

    private List<String> names(String... modules) throws Exception {
        return DebianKernel.of(tree, cache).modules(modules).stream()
                .map(path -> path.getFileName().toString())
                .toList();
    }

    @Test
    void partsOfAKernelAreFound() throws Exception {
        DebianKernel kernel = DebianKernel.of(tree, cache);
        assertEquals(RELEASE, kernel.release());
        assertEquals("MZ", Files.readString(kernel.image()));
        assertEquals("CONFIG_X=y\n", Files.readString(kernel.config()));
    }

    @Test
    void modulesComeAfterWhatTheyNeedAndOnce() throws Exception {
        module("virtio.ko", "depends=virtio_ring");
        module("virtio_ring.ko", "depends=");
        module("virtio-pci.ko", "depends=virtio,virtio_ring");
        module("virtio_blk.ko", "depends=virtio_ring,virtio");
        module("other.ko", "depends=");
        assertEquals(
                List.of("virtio_ring.ko", "virtio.ko", "virtio-pci.ko", "virtio_blk.ko"),
                names("virtio_pci", "virtio-blk", "virtio"));
        assertEquals(List.of(), names());
    }

    @Test
    void modulesThatAreBuiltInAreLeftOut() throws Exception {
        module("mbcache.ko", "depends=ext4,lib_crc16");
        assertEquals(List.of("mbcache.ko"), names("ext4", "mbcache", "lib-crc16"));
    }

    @Test
    void softDependenciesAreTakenWhereThereAreSuch() throws Exception {
        module("btrfs.ko", "softdep=pre: crc32c xxhash-generic", "depends=xor");
        module("xxhash_generic.ko", "depends=", "softdep=pre: btrfs");
        module("xor.ko", "depends=");
        assertEquals(List.of("xxhash_generic.ko", "xor.ko", "btrfs.ko"), names("btrfs"));
    }

    @Test
    void unknownModuleIsNamed() {
        IOException e = assertThrows(IOException.class, () -> names("no-such"));
        assertEquals(
                tree.resolve("lib/modules", RELEASE) + ": no module no_such, built in or as a file",
                e.getMessage());
        assertThrows(IOException.class, () -> names("../../../boot/vmlinuz"));
    }

    @Test
    void unknownDependencyIsNamedWithWhoNeedsIt() throws Exception {
        module("a.ko", "depends=b");
        module("b.ko", "depends=../c");
        IOException e = assertThrows(IOException.class, () -> names("a"));
        assertTrue(
                Problem.line(e).endsWith("no module ../c, built in or as a file, needed by b"),
                e.getMessage());
    }

    @Test
    void circleOfDependenciesIsShown() throws Exception {
        module("a.ko", "depends=b");
        module("b.ko", "depends=c");
        module("c.ko", "depends=b");
        IOException e = assertThrows(IOException.class, () -> names("a"));
        assertTrue(Problem.line(e).endsWith("modules need each other: a, b, c, b"), e.getMessage());
    }

    @Test
    void endlessChainIsRefused() throws Exception {
        for (int i : IntStream.range(0, 200).toArray()) {
            module("m%d.ko".formatted(i), "depends=m%d".formatted(i + 1));
        }
        assertThrows(IOException.class, () -> names("m0"));
    }

    @Test
    void damagedModuleIsNamedWithTheOffset() throws Exception {
        Files.write(drivers.resolve("a.ko"), new byte[100]);
        IOException e = assertThrows(IOException.class, () -> names("a"));
        assertTrue(Problem.line(e).startsWith(drivers + "/a.ko: offset 0x0: "), e.getMessage());
    }

    @Test
    void modulesInXzAreUncompressedIntoTheCache() throws Exception {
        byte[] plain = KernelModuleFile.of("depends=");
        Files.write(drivers.resolve("dm-mod.ko.xz"), xz(plain));
        List<Path> modules = DebianKernel.of(tree, cache).modules("dm_mod");
        assertEquals("dm-mod.ko", modules.getFirst().getFileName().toString());
        assertArrayEquals(plain, Files.readAllBytes(modules.getFirst()));
        assertTrue(modules.getFirst().startsWith(directory.resolve("cache").toRealPath()));
        assertEquals(modules, DebianKernel.of(tree, cache).modules("dm-mod"));
    }

    @Test
    void damagedXzIsNamedAndNotKept() throws Exception {
        byte[] xz = xz(KernelModuleFile.of("depends="));
        xz[xz.length / 2] ^= 1;
        Path file = Files.write(drivers.resolve("a.ko.xz"), xz);
        IOException e = assertThrows(IOException.class, () -> names("a"));
        assertTrue(Problem.line(e).contains(file + ": cannot be uncompressed: "), e.getMessage());
        assertEquals(List.of(), cache.entries());
    }

    @Test
    void otherCompressionIsRefused() throws Exception {
        Files.write(drivers.resolve("a.ko.zst"), new byte[10]);
        IOException e = assertThrows(IOException.class, () -> names("a"));
        assertEquals(
                drivers + "/a.ko.zst: expected a module that is not compressed, or by xz",
                e.getMessage());
    }

    @Test
    void treeWithoutAKernelIsRefused() throws Exception {
        Files.delete(tree.resolve("boot/vmlinuz-" + RELEASE));
        assertThrows(IOException.class, () -> DebianKernel.of(tree, cache));
        Path empty = Files.createDirectory(directory.resolve("empty"));
        IOException e = assertThrows(IOException.class, () -> DebianKernel.of(empty, cache));
        assertEquals(empty + ": no lib/modules: expected a kernel", e.getMessage());
        Files.createDirectory(tree.resolve("lib/modules/6.2"));
        assertThrows(IOException.class, () -> DebianKernel.of(tree, cache));
    }

    private static byte[] xz(byte[] plain) throws IOException {
        var bytes = new ByteArrayOutputStream();
        try (var out = new XZOutputStream(bytes, new LZMA2Options(1))) {
            out.write(plain);
        }
        return bytes.toByteArray();
    }
}
