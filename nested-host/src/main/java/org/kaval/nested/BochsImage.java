package org.kaval.nested;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Initramfs;
import org.kaval.guests.IsoImage;
import org.kaval.guests.JavaRuntime;

/// What Bochs boots: a CD with Debian's cloud kernel as it is and an initramfs that has everything
/// else, and beside it Bochs' own settings. All is in the cache, so a run needs no folder that
/// could be left behind.
final class BochsImage {
    static final String CONFIGURATION = "bochsrc";
    static final String COMMANDS = "commands";

    /// What {@link #INIT} says last, and then the script's exit status.
    static final String END = "bochs host: the script has ended with status ";

    private static final String CD = "cd";
    private static final String SCRIPT = "/kaval/script";
    private static final String INPUT = "/kaval/input";

    /// The worker's, and what tests ask the JVM about itself with.
    private static final List<String> JAVA_MODULES =
            List.of("java.base", "java.logging", "java.management", "jdk.jfr", "jdk.unsupported");

    /// A kernel that panics restarts by a triple fault, which ends Bochs.
    private static final String COMMAND_LINE =
            "console=ttyS0,115200 quiet nokaslr mitigations=off cryptomgr.notests panic=-1 reboot=t";

    private static final String INIT =
            """
            export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root LANG=C.UTF-8
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            mkdir -p /dev/shm
            mount -t tmpfs tmpfs /dev/shm
            mkdir -p -m 1777 /tmp # not mounted on: tests may have been built there
            mkdir -p /run
            ln -s /proc/self/fd /dev/fd
            . /lib/modules/insert
            echo 1 >/proc/sys/vm/overcommit_memory
            hostname bochs-host
            ifconfig lo up
            exec 3>/dev/ttyS1
            stty -F /dev/ttyS1 raw -echo 115200
            sh %s <%s >&3 3>&-
            status=$?
            exec 3>&-
            echo "%s$status"
            sleep 1 # what is in the serial ports' queues would be lost
            poweroff -f
            """
                    .formatted(SCRIPT, INPUT, END);

    private BochsImage() {}

    /// The folder to run Bochs in, built if it is not in the cache yet.
    static Path of(BochsHost.Settings settings, String script, byte[] input, ArtifactCache cache)
            throws IOException, InterruptedException {
        var packages = new DebianPackages(cache);
        DebianKernel kernel = DebianKernel.cloud(packages);
        Path busybox = packages.unpack("busybox-static").resolve("bin/busybox");
        List<Path> modules = kernel.modules("kvm_intel");
        Map<String, Path> files = new TreeMap<>(settings.files());
        if (settings.java()) {
            addJava(files, cache);
        }
        String configuration = configuration(settings.mebibytes());
        MessageDigest digest = NestedImage.sha256();
        for (String part : List.of(INIT, COMMAND_LINE, configuration, script)) {
            digest.update((part + "\0").getBytes(StandardCharsets.UTF_8));
        }
        digest.update((kernel.image() + " " + busybox).getBytes(StandardCharsets.UTF_8));
        digest.update(input);
        NestedImage.update(digest, files);
        return cache.directory(
                "bochs",
                NestedImage.hex(digest),
                folder -> {
                    Initramfs image = Initramfs.busybox(busybox).modules(modules).init(INIT);
                    image.file(SCRIPT, 0644, script.getBytes(StandardCharsets.UTF_8));
                    image.file(INPUT, 0644, input);
                    for (Map.Entry<String, Path> file : files.entrySet()) {
                        NestedImage.add(image, file.getKey(), file.getValue());
                    }
                    Path initramfs = folder.resolve("initramfs");
                    image.writeTo(initramfs);
                    IsoImage.create(folder.resolve(CD), kernel.image(), initramfs, COMMAND_LINE);
                    Files.delete(initramfs);
                    Files.writeString(folder.resolve(CONFIGURATION), configuration);
                    // Debian's Bochs has its debugger built in, which waits to be told to go on.
                    Files.writeString(folder.resolve(COMMANDS), "c\n");
                });
    }

    /// Output goes to descriptors that {@link BochsHost} gives to the process. Time passes with
    /// instructions, not with this machine's clock, and waiting takes none.
    private static String configuration(int mebibytes) {
        return """
        display_library: term
        config_interface: textconfig
        plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, iodebug=0
        memory: guest=%d, host=%d
        romimage: file=%s
        vgaromimage: file=%s
        cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
        clock: sync=none, time0=utc
        pci: enabled=1, chipset=i440fx
        boot: cdrom
        ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
        ata0-master: type=cdrom, path=%s, status=inserted
        com1: enabled=1, mode=file, dev=/dev/fd/2
        com2: enabled=1, mode=file, dev=/dev/fd/3
        log: -
        panic: action=fatal
        error: action=ignore
        info: action=ignore
        debug: action=ignore
        """
                .formatted(mebibytes, mebibytes, BochsHost.BIOS, BochsHost.VGA_BIOS, CD);
    }

    private static void addJava(Map<String, Path> files, ArtifactCache cache)
            throws IOException, InterruptedException {
        Path javaHome = Path.of(System.getProperty("java.home")).toRealPath();
        MessageDigest key = NestedImage.sha256();
        for (String part : List.of(NestedImage.javaKey(javaHome), JAVA_MODULES.toString())) {
            key.update((part + "\0").getBytes(StandardCharsets.UTF_8));
        }
        Path java =
                cache.directory(
                                "bochs-java",
                                NestedImage.hex(key),
                                folder -> JavaRuntime.link(folder.resolve("java"), JAVA_MODULES))
                        .resolve("java");
        files.put(BochsHost.JAVA_HOME, java);
        for (Path library : NestedImage.libraries(java)) {
            files.put(library.toString(), library);
        }
    }
}
