package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;
import org.kaval.testing.FileMaker;

/// Debian's cloud kernel as it is, and an initramfs whose init tells what it finds, a line each,
/// and then does what the command line says: `test.end=poweroff` or `test.end=reboot`.
final class LinuxGuests implements FileMaker {
    static final String FOLDER = "target/guests/linux";

    private static final String INIT =
            """
            export PATH=/bin:/sbin:/usr/bin:/usr/sbin
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            echo 3 >/proc/sys/kernel/printk
            for word in $(cat /proc/cmdline); do case $word in test.end=*) end=${word#*=};; esac; done
            echo "release: $(uname -r)"
            echo "cpus: $(nproc)"
            echo "memory: $(sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)"
            echo "clock source: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
            sleep 1
            echo "timer interrupts: $(sed -n 's/ *LOC: *//p' /proc/interrupts)"
            echo "time: $(date +%s)"
            echo "rtc: $(hwclock -u -f /dev/rtc0 >/dev/null && echo works)"
            dmesg | grep -E 'ACPI (BIOS )?Error|ACPI Warning|BUG|Oops' | sed 's/^/complaint: /'
            echo "end: $end"
            $end -f
            """;

    static Path kernel() {
        return folder().resolve("vmlinuz");
    }

    static Path initrd() {
        return folder().resolve("initrd");
    }

    private static Path folder() {
        return Path.of(System.getProperty("basedir", "")).resolve(FOLDER).toAbsolutePath();
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        Path folder = Files.createDirectories(module.resolve(FOLDER));
        var packages = new DebianPackages(ArtifactCache.ofUser());
        DebianKernel kernel = DebianKernel.cloud(packages);
        Files.copy(kernel.image(), folder.resolve("vmlinuz"), StandardCopyOption.REPLACE_EXISTING);
        Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
                .init(INIT)
                .writeTo(folder.resolve("initrd"));
    }
}
