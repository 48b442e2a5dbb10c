package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;
import org.kaval.machine.boot.KernelBoot;

/// The Linux of `kaval demo`: Debian's cloud kernel as its package has it, and an initramfs with
/// busybox, made on the spot. Both are kept in the user's cache.
record LinuxGuest(Path kernel, Path initrd) {
    /// Makes the guest say what it is and end, instead of waiting for a person.
    static final String BRIEF = " kaval.demo=brief";

    private static final String COMMAND_LINE = "console=ttyS0 quiet panic=-1 cryptomgr.notests";

    private static final String INIT =
            """
            export PATH=/bin:/sbin HOME=/ PS1='guest# '
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            echo 1 >/proc/sys/kernel/printk
            clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
            echo
            echo "$(uname -sr) on $(nproc) CPU, $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB,"\\
                "clock $clock, up for $(cut -d' ' -f1 /proc/uptime) s"
            if ! grep -q kaval.demo=brief /proc/cmdline; then
                echo "This is a shell in the guest; 'exit' powers it off, Ctrl-] ? lists keys for Kaval."
                setsid cttyhack sh
            fi
            poweroff -f
            """;

    /// Fetches and makes what is not in the cache.
    ///
    /// @throws IOException one line, if the host has no tools for Debian's packages, or no network
    static LinuxGuest make() throws IOException, InterruptedException {
        ArtifactCache cache = ArtifactCache.ofUser();
        var packages = new DebianPackages(cache);
        Path kernel = DebianKernel.cloud(packages).image();
        Path busybox = packages.unpack("busybox-static").resolve("bin/busybox");
        String key = Integer.toHexString((INIT + busybox).hashCode());
        Path folder =
                cache.directory(
                        "demo-initramfs",
                        key,
                        made ->
                                Initramfs.busybox(busybox)
                                        .init(INIT)
                                        .writeTo(made.resolve("initrd")));
        return new LinuxGuest(kernel, folder.resolve("initrd"));
    }

    static String commandLine(boolean brief) {
        return brief ? COMMAND_LINE + BRIEF : COMMAND_LINE;
    }

    KernelBoot boot(boolean brief) {
        return KernelBoot.of(kernel).initrd(initrd).commandLine(commandLine(brief));
    }
}
