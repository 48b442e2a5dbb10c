package org.kaval.guests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// A kernel of Debian with its modules, as its package has them: unmodified. Modules are for guests
/// without modprobe; so they come with all that they need, in the order to insert them.
///
/// Immutable; any thread.
public final class DebianKernel {
    private static final String VERSION = "linux-image-[0-9][0-9a-z.+~]*(-[0-9]+)?";

    private final Path tree;
    private final String release;
    private final KernelModules modules;

    private DebianKernel(Path tree, String release, KernelModules modules) {
        this.tree = tree;
        this.release = release;
        this.modules = modules;
    }

    /// The one for virtual machines, `linux-image-cloud-amd64`: virtio, KVM, no drivers of
    /// hardware.
    ///
    /// @throws IOException as {@link DebianPackages#unpack}
    public static DebianKernel cloud(DebianPackages packages)
            throws IOException, InterruptedException {
        return of(packages, "linux-image-cloud-amd64", VERSION + "-cloud-amd64");
    }

    /// The one for all machines, `linux-image-amd64`.
    ///
    /// @throws IOException as {@link DebianPackages#unpack}
    public static DebianKernel standard(DebianPackages packages)
            throws IOException, InterruptedException {
        return of(packages, "linux-image-amd64", VERSION + "-amd64");
    }

    private static DebianKernel of(DebianPackages packages, String metapackage, String pattern)
            throws IOException, InterruptedException {
        String name = packages.dependency(metapackage, Pattern.compile(pattern));
        return of(packages.unpack(name), packages.cache());
    }

    /// @param tree an unpacked package
    /// @param cache for modules that the package has compressed
    static DebianKernel of(Path tree, ArtifactCache cache) throws IOException {
        // Debian 13 has nothing outside of /usr.
        Path all =
                Stream.of("lib/modules", "usr/lib/modules")
                        .map(tree::resolve)
                        .filter(Files::isDirectory)
                        .findFirst()
                        .orElseThrow(() ->
                                new IOException(tree + ": no lib/modules: expected a kernel"));
        List<Path> releases = Trees.children(all);
        if (releases.size() != 1) {
            throw new IOException(
                    "%s: expected the modules of one kernel, found %d"
                            .formatted(all, releases.size()));
        }
        Path directory = releases.getFirst();
        String release = directory.getFileName().toString();
        // The package's version tells two builds of one release apart.
        String version = release + "_" + tree.getFileName();
        var kernel = new DebianKernel(tree, release, KernelModules.in(directory, version, cache));
        for (Path file : List.of(kernel.image(), kernel.config())) {
            if (!Files.isRegularFile(file)) {
                throw new IOException(file + ": no such file: expected a kernel's package");
            }
        }
        return kernel;
    }

    /// The kernel: a bzImage.
    public Path image() {
        return tree.resolve("boot/vmlinuz-" + release);
    }

    /// What it was built with: lines `CONFIG_X=y`.
    public Path config() {
        return tree.resolve("boot/config-" + release);
    }

    /// As `uname -r` prints it: `6.1.0-56-cloud-amd64`.
    public String release() {
        return release;
    }

    /// The files of modules and of all that they need, uncompressed, in the order to insert them:
    /// that of `names`, each after what it needs, none twice. What is built into the kernel is left
    /// out. Of soft dependencies (modules that another one loads by itself, mostly of crypto) those
    /// are included that are names of modules; where such a module asks for an algorithm instead
    /// (`crc32c`), name the module that has it (`crc32c_generic`) before.
    ///
    /// ```java
    /// kernel.modules("virtio_pci", "virtio_blk"); // virtio.ko, virtio_ring.ko, …, virtio_blk.ko
    /// ```
    ///
    /// @param names `-` and `_` are the same in them
    /// @throws IOException if this kernel has no such module, or one's file is damaged
    public List<Path> modules(String... names) throws IOException, InterruptedException {
        Map<String, Path> order = new LinkedHashMap<>();
        for (String name : names) {
            modules.addTo(order, name);
        }
        return List.copyOf(order.values());
    }
}
