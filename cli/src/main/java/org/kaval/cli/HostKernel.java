package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.machine.ConfigException;

/// The kernel that the host itself runs, and its initrd, where distributions put them: what is
/// booted if nothing else is said.
///
/// @param initrd null if there is none that can be read
record HostKernel(Path kernel, @Nullable Path initrd) {
    /// By distribution; `%s` is the kernel's release. The kernel, and its initrd by any of these
    /// names.
    private static final List<List<String>> PLACES =
            List.of(
                    // Debian, Ubuntu; Fedora and its kin; SUSE
                    List.of(
                            "boot/vmlinuz-%s",
                            "boot/initrd.img-%s", "boot/initramfs-%s.img", "boot/initrd-%s"),
                    // Arch; Alpine
                    List.of("boot/vmlinuz-linux", "boot/initramfs-linux.img"),
                    List.of("boot/vmlinuz-lts", "boot/initramfs-lts"),
                    List.of("boot/vmlinuz-virt", "boot/initramfs-virt"),
                    List.of("boot/vmlinuz", "boot/initrd.img", "boot/initrd"));

    /// Finds it.
    ///
    /// @param root of the file system
    /// @throws ConfigException if there is none, or none that this user may read
    static HostKernel find(Path root) throws IOException {
        String release = Files.readString(root.resolve("proc/sys/kernel/osrelease")).strip();
        var unreadable = new ArrayList<Path>();
        for (List<String> names : PLACES) {
            List<Path> files =
                    names.stream().map(name -> root.resolve(name.formatted(release))).toList();
            Path kernel = files.getFirst();
            if (Files.isReadable(kernel)) {
                Path initrd =
                        files.stream().skip(1).filter(Files::isReadable).findFirst().orElse(null);
                return new HostKernel(kernel, initrd);
            }
            if (Files.exists(kernel)) {
                unreadable.add(kernel);
            }
        }
        throw new ConfigException(
                "kernel",
                unreadable.isEmpty()
                        ? "none is given, and this host's own is not in /boot"
                        : "none is given, and this user may not read this host's own, "
                                + unreadable.getFirst());
    }

    @Override
    public String toString() {
        return initrd == null ? kernel + " without an initrd" : kernel + " with " + initrd;
    }
}
