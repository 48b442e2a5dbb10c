package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Function;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.CopyableImage;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.IoUring;
import org.kaval.machine.ConfigException;
import org.kaval.machine.DeviceFactory;
import org.kaval.machine.Virtio;
import org.kaval.machine.VmBuilder;

/// The images of a guest's disks. They stay open and locked while it restarts, when each machine
/// gets new disks of them, and what is written to an overlay is still there then.
final class GuestDisks implements AutoCloseable {
    private final Map<String, VirtioBlock> devices = new ConcurrentSkipListMap<>();
    private static final Path ON_DISK = Path.of("/var/tmp");

    private final List<Disk> disks = new ArrayList<>();
    private final Function<VirtioDevice, DeviceFactory> transport;

    private record Disk(DiskSpec spec, CopyableImage image, boolean overlay) {}

    private GuestDisks(Function<VirtioDevice, DeviceFactory> transport) {
        this.transport = transport;
    }

    /// Opens the images.
    ///
    /// @param ephemeral whether all that are not read only have an overlay
    /// @param transport puts a disk into a machine
    static GuestDisks open(
            List<DiskSpec> specs,
            boolean ephemeral,
            Function<VirtioDevice, DeviceFactory> transport)
            throws IOException {
        var opened = new GuestDisks(transport);
        boolean complete = false;
        try {
            for (DiskSpec spec : specs) {
                boolean overlay = spec.overlay() || (ephemeral && !spec.image().readOnly());
                BlockImage image = openImage(spec, overlay);
                var disk = new Disk(spec, CopyableImage.of(image), overlay);
                opened.disks.add(disk);
                checkEngine(disk);
            }
            complete = true;
        } finally {
            if (!complete) {
                opened.close();
            }
        }
        return opened;
    }

    /// No disks.
    static GuestDisks none() {
        return new GuestDisks(Virtio::pci);
    }

    private static void checkEngine(Disk disk) throws HostUnsupportedException {
        VirtioBlock.Options device = disk.spec.device();
        if (device.engine() != VirtioBlock.Engine.IO_URING) {
            return;
        }
        String setting = disk.spec.name() + ".engine";
        if (disk.image.rings() == null) {
            throw new ConfigException(setting, "io_uring is for raw images without overlay");
        }
        if (device.isLimited()) {
            throw new ConfigException(setting, "io_uring has no limits: iops and bandwidth");
        }
        if (!IoUring.isAvailable()) {
            throw new HostUnsupportedException(
                    setting + ": the kernel has no io_uring, or forbids it here; use threads");
        }
    }

    private static BlockImage openImage(DiskSpec spec, boolean overlay) throws IOException {
        if (!overlay) {
            return Images.open(spec.path(), spec.formatOrByName(), spec.image());
        }
        Path directory = overlayDirectory();
        ImageOptions readOnly = spec.image().withReadOnly(true);
        return Images.overlay(Images.open(spec.path(), spec.formatOrByName(), readOnly), directory);
    }

    /// On a disk, if there is such a place: what a guest writes may be more than there is memory,
    /// which `/tmp` often is.
    private static Path overlayDirectory() {
        String chosen = System.getenv("TMPDIR");
        if (chosen != null && !chosen.isEmpty()) {
            if (!Files.isDirectory(Path.of(chosen))) {
                throw new ConfigException("TMPDIR", chosen + ": no such directory");
            }
            return Path.of(chosen);
        }
        return Files.isDirectory(ON_DISK) ? ON_DISK : Path.of(System.getProperty("java.io.tmpdir"));
    }

    /// Gives each machine that `builder` builds its disks.
    void attachTo(VmBuilder builder) {
        for (Disk disk : disks) {
            builder.device(machine -> {
                var device =
                        new VirtioBlock(
                                disk.spec.name(), Images.lend(disk.image), disk.spec.device());
                devices.put(disk.spec.name(), device);
                transport.apply(device).attach(machine);
            });
        }
    }

    /// Whether the guest can write to an image that stays.
    boolean writesImages() {
        return disks.stream().anyMatch(disk -> !disk.overlay && !disk.spec.image().readOnly());
    }

    /// What the guest can write, by the disks' names.
    Map<String, CopyableImage> writable() {
        var images = new LinkedHashMap<String, CopyableImage>();
        for (Disk disk : disks) {
            if (!disk.image.readOnly()) {
                images.put(disk.spec.name(), disk.image);
            }
        }
        return images;
    }

    /// Whether some of what it writes is thrown away in the end.
    boolean hasOverlays() {
        return disks.stream().anyMatch(Disk::overlay);
    }

    /// The disks of the machine that was built last, by name; as many as it has by now.
    Map<String, VirtioBlock> devices() {
        return Collections.unmodifiableMap(devices);
    }

    /// Writes what is left, and closes all, also if one fails.
    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (Disk disk : disks) {
            try {
                disk.image.close();
            } catch (IOException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
