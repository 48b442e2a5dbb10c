package org.kaval.nested;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.stream.Stream;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.DebianKernel;
import org.kaval.guests.DebianPackages;
import org.kaval.guests.Ext4Image;
import org.kaval.guests.Initramfs;
import org.kaval.nested.guest.Agent;

/// What a nested host boots: Debian's cloud kernel as it is, an initramfs with busybox, the
/// modules, the agent and the caller's files, and this program's own Java runtime as a read-only
/// disk, found at the same path as here.
final class NestedImage {
    static final String AGENT_CLASSES = "/kaval/agent";

    private static final String[] MODULES = {
        "virtio_pci", "virtio_blk", "virtio_console", "pvpanic_pci", "kvm_amd", "tun", "loop"
    };

    /// The parts of the Java runtime whose libraries it cannot do without.
    private static final List<String> NATIVE =
            List.of(
                    "bin/java",
                    "lib/libjli.so",
                    "lib/libjava.so",
                    "lib/libnet.so",
                    "lib/libnio.so",
                    "lib/libzip.so",
                    "lib/server/libjvm.so");

    private static final String INIT =
            """
            export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root LANG=C.UTF-8
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev
            mkdir -p /dev/shm /dev/pts
            mount -t devpts devpts /dev/pts
            mount -t tmpfs tmpfs /dev/shm
            mount -t tmpfs -o size=75%% tmpfs /tmp
            mount -t tmpfs tmpfs /run
            mount -t debugfs debugfs /sys/kernel/debug
            ln -s /proc/self/fd /dev/fd
            . /lib/modules/insert
            mkdir -p '%s'
            mount -t ext4 -o ro,noload /dev/vda '%s'
            echo 1 >/proc/sys/vm/overcommit_memory
            hostname nested-host
            ifconfig lo up
            echo "nested host: starting the agent"
            '%s/bin/java' -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xmx64m \
                -cp %s %s %s
            echo "nested host: the agent has ended with status $?"
            poweroff -f
            """;

    private final Path kernel;
    private final Path initramfs;
    private final Path javaDisk;
    private final String key;

    private NestedImage(Path kernel, Path initramfs, Path javaDisk, String key) {
        this.kernel = kernel;
        this.initramfs = initramfs;
        this.javaDisk = javaDisk;
        this.key = key;
    }

    /// Builds what is not in the cache yet.
    static NestedImage of(NestedHost.Settings settings, ArtifactCache cache)
            throws IOException, InterruptedException {
        Path javaHome = Path.of(System.getProperty("java.home")).toRealPath();
        String javaKey = javaKey(javaHome);
        var javaDisk = new FutureTask<Path>(() -> javaDisk(javaHome, javaKey, cache));
        Thread.ofVirtual().name("nested-java").start(javaDisk); // while packages are fetched
        var packages = new DebianPackages(cache);
        DebianKernel kernel = DebianKernel.cloud(packages);
        Path busybox = packages.unpack("busybox-static").resolve("bin/busybox");
        Map<String, Path> files = new TreeMap<>(settings.files());
        for (Path library : libraries(javaHome)) {
            files.put(library.toString(), library);
        }
        List<Path> modules = kernel.modules(MODULES);
        String key = key(kernel.image(), busybox, modules, files, javaKey, settings.prestarted());
        Path initramfs =
                cache.directory(
                        "nested-initramfs",
                        key,
                        folder -> {
                            Initramfs image = Initramfs.busybox(busybox).modules(modules);
                            image.init(init(javaHome, settings.prestarted()));
                            addClasses(image);
                            for (Map.Entry<String, Path> file : files.entrySet()) {
                                add(image, file.getKey(), file.getValue());
                            }
                            image.writeTo(folder.resolve("initramfs"));
                        });
        return new NestedImage(
                kernel.image(), initramfs.resolve("initramfs"), result(javaDisk), key);
    }

    private static Path javaDisk(Path javaHome, String javaKey, ArtifactCache cache)
            throws IOException, InterruptedException {
        return cache.directory(
                        "nested-java",
                        javaKey,
                        folder ->
                                Ext4Image.create(
                                        folder.resolve("disk"),
                                        javaHome,
                                        Ext4Image.estimate(javaHome),
                                        "java"))
                .resolve("disk");
    }

    private static Path result(FutureTask<Path> task) throws IOException, InterruptedException {
        try {
            return task.get();
        } catch (ExecutionException e) {
            throw NestedHostException.of(e);
        }
    }

    /// What tells this image from others.
    String key() {
        return key;
    }

    /// QEMU's arguments.
    ///
    /// @param ram the file that is the guest's RAM
    /// @param shared whether what the guest writes goes to that file
    List<String> arguments(NestedHost.Settings settings, Path ram, boolean shared) {
        String memory =
                "memory-backend-file,id=ram,size=%dM,mem-path=%s,share=%s"
                        .formatted(settings.mebibytes(), escape(ram), shared ? "on" : "off");
        return List.of(
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
                "-object",
                memory,
                "-machine",
                "q35,memory-backend=ram",
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "max,+svm",
                "-m",
                settings.mebibytes() + "M",
                "-smp",
                Integer.toString(settings.cpus()),
                "-rtc",
                "base=utc,clock=host",
                "-device",
                "pvpanic-pci",
                "-action",
                "panic=exit-failure",
                "-drive",
                "if=none,id=java,format=raw,readonly=on,file=" + escape(javaDisk),
                "-device",
                "virtio-blk-pci,drive=java",
                "-kernel",
                kernel.toString(),
                "-initrd",
                initramfs.toString(),
                "-append",
                "console=ttyS0 panic=-1 quiet cryptomgr.notests tsc=reliable");
    }

    /// In QEMU's options a comma ends a value, unless it is doubled.
    private static String escape(Path path) {
        return path.toString().replace(",", ",,");
    }

    private static String init(Path javaHome, List<String> prestarted) {
        return INIT.formatted(
                javaHome,
                javaHome,
                javaHome,
                AGENT_CLASSES,
                Agent.class.getName(),
                String.join(" ", prestarted.stream().map(NestedImage::quote).toList()));
    }

    static String quote(String word) {
        return "'" + word.replace("'", "'\\''") + "'";
    }

    static void add(Initramfs image, String path, Path file) throws IOException {
        if (Files.isDirectory(file)) {
            image.tree(path, file);
        } else {
            image.file(path, Files.isExecutable(file) ? 0755 : 0644, file);
        }
    }

    /// The agent's classes, wherever this program has its own from: a folder, a jar or a runtime
    /// image.
    private static void addClasses(Initramfs image) throws IOException {
        var classes = new ArrayList<Class<?>>(Agent.parts());
        for (int i = 0; i < classes.size(); i++) {
            Class<?> type = classes.get(i);
            classes.addAll(List.of(type.getDeclaredClasses()));
            String file = type.getName().replace('.', '/') + ".class";
            try (InputStream in = type.getResourceAsStream("/" + file)) {
                image.file(AGENT_CLASSES + "/" + file, 0644, in.readAllBytes());
            }
        }
    }

    /// What the Java runtime is linked to, as ldd(1) tells.
    static Set<Path> libraries(Path javaHome) throws IOException {
        var command = new ArrayList<String>(List.of("ldd"));
        for (String file : NATIVE) {
            Path path = javaHome.resolve(file);
            if (Files.exists(path)) {
                command.add(path.toString());
            }
        }
        Process ldd = new ProcessBuilder(command).redirectErrorStream(true).start();
        ldd.getOutputStream().close();
        var libraries = new LinkedHashSet<Path>();
        String output = new String(ldd.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        for (String line : output.lines().toList()) {
            int start = line.indexOf('/');
            int end = line.indexOf(" (");
            if (start >= 0 && end > start && !line.startsWith("/")) {
                Path library = Path.of(line.substring(start, end));
                if (!library.startsWith(javaHome)) {
                    libraries.add(library);
                }
            }
        }
        return libraries;
    }

    static String javaKey(Path javaHome) throws IOException {
        MessageDigest digest = sha256();
        digest.update(javaHome.toString().getBytes(StandardCharsets.UTF_8));
        update(digest, javaHome.resolve("release"));
        Path modules = javaHome.resolve("lib/modules");
        digest.update(
                (Files.size(modules) + " " + Files.getLastModifiedTime(modules))
                        .getBytes(StandardCharsets.UTF_8));
        return hex(digest);
    }

    private static String key(
            Path kernel,
            Path busybox,
            List<Path> modules,
            Map<String, Path> files,
            String javaKey,
            List<String> prestarted)
            throws IOException {
        MessageDigest digest = sha256();
        digest.update(
                (INIT + kernel + busybox + modules + javaKey + prestarted)
                        .getBytes(StandardCharsets.UTF_8));
        for (Class<?> type : Agent.parts()) {
            String file = type.getName().replace('.', '/') + ".class";
            try (InputStream in = type.getResourceAsStream("/" + file)) {
                digest.update(in.readAllBytes());
            }
        }
        update(digest, files);
        return hex(digest);
    }

    /// Takes in what `files` have in them, and what they are called.
    static void update(MessageDigest digest, Map<String, Path> files) throws IOException {
        for (Map.Entry<String, Path> file : files.entrySet()) {
            digest.update(file.getKey().getBytes(StandardCharsets.UTF_8));
            try (Stream<Path> tree = Files.walk(file.getValue())) {
                for (Path path : tree.sorted().filter(Files::isRegularFile).toList()) {
                    digest.update(path.toString().getBytes(StandardCharsets.UTF_8));
                    update(digest, path);
                }
            }
        }
    }

    private static void update(MessageDigest digest, Path file) throws IOException {
        try (var in = new DigestInputStream(Files.newInputStream(file), digest)) {
            in.transferTo(OutputStream.nullOutputStream());
        }
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new AssertionError("every Java has SHA-256", impossible);
        }
    }

    static String hex(MessageDigest digest) {
        return HexFormat.of().formatHex(digest.digest(), 0, 12);
    }
}
