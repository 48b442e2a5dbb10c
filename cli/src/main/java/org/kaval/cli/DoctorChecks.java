package org.kaval.cli;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.DoctorReport.Check;
import org.kaval.cli.DoctorReport.Status;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmKind;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;

/// Looks at a host and writes a {@link DoctorReport}.
///
/// Only what no guest can do without is a failure. A file that is missing or says something else
/// than expected makes its check `unknown`; nothing here throws.
final class DoctorChecks {
    /// The least `net.core.wmem_max` with which passt makes its socket's buffer larger.
    private static final long PASST_BUFFER = 2 << 20;

    private static final long KIBIBYTE = 1 << 10;
    private static final long GIBIBYTE = 1 << 30;

    /// A VM takes some ten descriptors, and five per device.
    private static final long ENOUGH_DESCRIPTORS = 1024;

    private static final String RAISE_DESCRIPTORS = "sudo prlimit --pid $$ --nofile=65536:65536";

    private static final String START_CONTAINER = "# start the container so:\n";

    private static final String UDEV_RULE = "KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0660\"";

    /// Where distributions put virtiofsd, which is in nobody's PATH.
    private static final List<String> VIRTIOFSD =
            List.of("usr/libexec/virtiofsd", "usr/lib/qemu/virtiofsd", "usr/lib/virtiofsd");

    private final Path root;
    private final List<Path> path;
    private final DoctorProbe probe;

    /// @param root of the file system with `dev`, `etc`, `proc`, `run`, `sys` and `usr`
    /// @param path directories of programs, as in `PATH`
    DoctorChecks(Path root, List<Path> path, DoctorProbe probe) {
        this.root = root;
        this.path = List.copyOf(path);
        this.probe = probe;
    }

    static DoctorChecks ofThisHost() {
        String path = Optional.ofNullable(System.getenv("PATH")).orElse("");
        List<Path> directories =
                Stream.of(path.split(File.pathSeparator, -1))
                        .filter(directory -> !directory.isEmpty())
                        .map(Path::of)
                        .toList();
        return new DoctorChecks(Path.of("/"), directories, new DoctorProbe.Devices());
    }

    DoctorReport report() {
        var cpu = Cpu.parse(lines("proc/cpuinfo"));
        KvmKind kind = exists("sys/module/kvm_pvm") ? KvmKind.PVM : cpu.kind();
        Map<Capability, Integer> capabilities = Map.of();
        var checks = new ArrayList<Check>();
        try {
            DoctorProbe.KvmAnswers answers = probe.kvm(root.resolve("dev/kvm"));
            capabilities = answers.capabilities();
            checks.add(Check.ok("/dev/kvm", "can be opened"));
            checks.add(kindCheck(kind, cpu));
            checks.add(virtualMachine(answers.vmRefusal()));
            checks.addAll(capabilityChecks(capabilities));
        } catch (IOException e) {
            checks.add(kvmRefused(e, cpu));
            checks.add(kindCheck(kind, cpu));
            checks.add(Check.unknown("virtual machine"));
            checks.add(Check.unknown("capabilities"));
        }
        checks.add(limit("vCPUs of a guest", capabilities, Capability.MAX_VCPUS));
        checks.add(limit("memory slots", capabilities, Capability.NR_MEMSLOTS));
        checks.add(openFiles());
        checks.add(lockedMemory());
        checks.add(memory());
        checks.add(hugePages());
        checks.add(transparentHugePages());
        checks.add(samePageMerging());
        checks.add(tun());
        checks.add(vhostNet());
        checks.add(passt());
        checks.add(virtiofsd());
        return new DoctorReport(kind, cpu.nested(), checks, capabilities);
    }

    // KVM

    private Check kvmRefused(IOException refusal, Cpu cpu) {
        int errno = errno(refusal);
        return switch (errno) {
            case Errno.ENOENT, Errno.ENODEV, Errno.ENXIO -> kvmAbsent(errno, cpu);
            case Errno.EACCES, Errno.EPERM -> kvmDenied(errno);
            case Errno.EMFILE ->
                    kvmFailure(errno, "this process has no descriptor left", RAISE_DESCRIPTORS);
            case 0 -> new Check("/dev/kvm", Status.FAIL, message(refusal), null);
            default -> kvmFailure(errno, "see the kernel's log", "sudo dmesg | grep -i kvm");
        };
    }

    private Check kvmAbsent(int errno, Cpu cpu) {
        boolean loaded =
                exists("sys/module/kvm_intel")
                        || exists("sys/module/kvm_amd")
                        || exists("sys/module/kvm_pvm");
        if (!loaded && cpu.kind() == KvmKind.UNKNOWN) {
            return kvmFailure(
                    errno, "the processor shows neither vmx nor svm", enableVirtualization(cpu));
        }
        String modprobe = "sudo modprobe " + cpu.module();
        if (inContainer()) {
            return kvmFailure(
                    errno,
                    "this container does not have the device",
                    (loaded ? "" : "# on the container's host:\n" + modprobe + "\n")
                            + START_CONTAINER
                            + "docker run --device /dev/kvm ...");
        }
        if (loaded && errno == Errno.ENOENT) {
            return kvmFailure(
                    errno,
                    "the module is loaded, and the device node is missing",
                    "sudo mknod --mode=0660 /dev/kvm c 10 232 && sudo chgrp kvm /dev/kvm");
        }
        return kvmFailure(errno, "the module " + cpu.module() + " is not loaded", modprobe);
    }

    private Check kvmDenied(int errno) {
        if (inContainer()) {
            return kvmFailure(
                    errno,
                    "this container may not use the device",
                    START_CONTAINER
                            + "docker run --device /dev/kvm --group-add $(stat -c %g /dev/kvm) ...");
        }
        var commands = new ArrayList<String>();
        if (!belongsToKvm()) {
            if (lines("etc/group").stream().noneMatch(line -> line.startsWith("kvm:"))) {
                commands.add("sudo groupadd --system kvm");
            }
            commands.add(
                    "echo '" + UDEV_RULE + "' | sudo tee /etc/udev/rules.d/99-kaval-kvm.rules");
            commands.add("sudo udevadm control --reload && sudo udevadm trigger --name-match=kvm");
        }
        commands.add("sudo usermod -aG kvm $USER  # then log in again");
        return kvmFailure(errno, "no permission", String.join("\n", commands));
    }

    private static Check kvmFailure(int errno, String reason, String remedy) {
        String detail = "cannot be opened: %s; %s".formatted(Errno.name(errno), reason);
        return new Check("/dev/kvm", Status.FAIL, detail, remedy);
    }

    private boolean belongsToKvm() {
        try {
            var attributes =
                    Files.readAttributes(root.resolve("dev/kvm"), PosixFileAttributes.class);
            return attributes.group().getName().equals("kvm")
                    && attributes
                            .permissions()
                            .containsAll(
                                    List.of(
                                            PosixFilePermission.GROUP_READ,
                                            PosixFilePermission.GROUP_WRITE));
        } catch (IOException _) {
            return false; // then the longer remedy does no harm
        }
    }

    private static Check kindCheck(KvmKind kind, Cpu cpu) {
        String name = DoctorReport.name(kind) + (cpu.isNested() ? ", nested" : "");
        return switch (kind) {
            case VT_X, AMD_V -> Check.ok("kind", name + "; runs everything");
            case PVM ->
                    new Check(
                            "kind",
                            Status.WARN,
                            name
                                    + "; runs the whole KVM API and small payloads, no unmodified"
                                    + " 64-bit kernel",
                            enableVirtualization(cpu));
            case UNKNOWN -> Check.info("kind", name);
        };
    }

    private static String enableVirtualization(Cpu cpu) {
        if (!cpu.isNested()) {
            return """
            # enable VT-x, or AMD-V (SVM), in the firmware:
            sudo systemctl reboot --firmware-setup\
            """;
        }
        return """
        # on the outer host, if that is KVM; give this machine the CPU 'host', too:
        echo 'options kvm-MODULE nested=1' | sudo tee /etc/modprobe.d/kvm-nested.conf
        sudo modprobe -r kvm-MODULE && sudo modprobe kvm-MODULE\
        """
                .replace("kvm-MODULE", cpu.module());
    }

    private Check virtualMachine(@Nullable ErrnoException refusal) {
        String name = "virtual machine";
        if (refusal == null) {
            return Check.ok(name, "one with a vCPU can be made");
        }
        String detail = refusal.operation() + ": " + Errno.name(refusal.errno());
        return switch (refusal.errno()) {
            case Errno.EBUSY -> {
                String remedy = null;
                if (exists("sys/module/vboxdrv")) {
                    remedy = "sudo modprobe -r vboxnetadp vboxnetflt vboxdrv  # VirtualBox";
                } else if (exists("sys/module/vmmon")) {
                    remedy = "sudo systemctl stop vmware  # VMware";
                }
                yield new Check(
                        name,
                        Status.FAIL,
                        detail + "; another hypervisor has the processor: stop it",
                        remedy);
            }
            case Errno.EMFILE ->
                    new Check(
                            name,
                            Status.FAIL,
                            detail + "; this process has no descriptor left",
                            RAISE_DESCRIPTORS);
            case Errno.ENOMEM ->
                    new Check(
                            name, Status.FAIL, detail + "; the host has no memory left", "free -h");
            default ->
                    new Check(
                            name,
                            Status.FAIL,
                            detail + "; see the kernel's log",
                            "sudo dmesg | grep -i kvm");
        };
    }

    private List<Check> capabilityChecks(Map<Capability, Integer> capabilities) {
        var missing = new ArrayList<Check>();
        for (Capability capability : Capability.values()) {
            if (capabilities.getOrDefault(capability, 0) == 0) {
                boolean required = capability.need() == Capability.Need.REQUIRED;
                missing.add(
                        new Check(
                                "KVM_CAP_" + capability,
                                required ? Status.FAIL : Status.WARN,
                                "not there; without it: " + capability.withoutIt(),
                                null));
            }
        }
        int all = Capability.values().length;
        var checks = new ArrayList<Check>();
        checks.add(
                missing.isEmpty()
                        ? Check.ok("capabilities", "all " + all)
                        : Check.info(
                                "capabilities",
                                "%d of %d; a newer kernel than Linux %s may have more"
                                        .formatted(all - missing.size(), all, kernel())));
        checks.addAll(missing);
        return checks;
    }

    private String kernel() {
        return lines("proc/sys/kernel/osrelease").stream().findFirst().orElse("(unknown)");
    }

    // Limits

    private static Check limit(
            String name, Map<Capability, Integer> capabilities, Capability capability) {
        int value = capabilities.getOrDefault(capability, 0);
        return value == 0 ? Check.unknown(name) : Check.ok(name, "up to " + value);
    }

    private Check openFiles() {
        String name = "open files";
        Optional<String> limit = processLimit("Max open files");
        if (limit.isEmpty()) {
            return Check.unknown(name);
        }
        OptionalLong files = number(limit.get());
        return files.isPresent() && files.getAsLong() < ENOUGH_DESCRIPTORS
                ? new Check(
                        name,
                        Status.WARN,
                        "up to %d; many guests need %d"
                                .formatted(files.getAsLong(), ENOUGH_DESCRIPTORS),
                        RAISE_DESCRIPTORS)
                : Check.ok(name, "up to " + limit.get());
    }

    private Check lockedMemory() {
        String name = "locked memory";
        return processLimit("Max locked memory")
                .map(limit -> {
                    OptionalLong bytes = number(limit);
                    return Check.ok(
                            name, "up to " + (bytes.isPresent() ? size(bytes.getAsLong()) : limit));
                })
                .orElse(Check.unknown(name));
    }

    /// The soft limit as `/proc/self/limits` has it (proc(5)): a number, or `unlimited`.
    private Optional<String> processLimit(String name) {
        return after(name, lines("proc/self/limits")).map(text -> text.split("\\s+", -1)[0]);
    }

    // Memory

    private Check memory() {
        OptionalLong total = memoryInfo("MemTotal");
        OptionalLong available = memoryInfo("MemAvailable");
        if (total.isEmpty()) {
            return Check.unknown("memory");
        }
        return Check.ok(
                "memory",
                "%s, available %s"
                        .formatted(
                                size(total.getAsLong() * KIBIBYTE),
                                available.isPresent()
                                        ? size(available.getAsLong() * KIBIBYTE)
                                        : "unknown"));
    }

    private Check hugePages() {
        String name = "huge pages";
        OptionalLong size = memoryInfo("Hugepagesize");
        OptionalLong total = memoryInfo("HugePages_Total");
        if (size.isEmpty() || size.getAsLong() == 0 || total.isEmpty()) {
            return Check.unknown(name);
        }
        long pageSize = size.getAsLong() * KIBIBYTE;
        if (total.getAsLong() == 0) {
            return new Check(
                    name,
                    Status.INFO,
                    "none of %s in the pool; a guest can be backed with them"
                            .formatted(size(pageSize)),
                    "sudo sysctl vm.nr_hugepages=%d  # for 1 GiB"
                            .formatted(Math.max(1, GIBIBYTE / pageSize)));
        }
        long free = memoryInfo("HugePages_Free").orElse(0) - memoryInfo("HugePages_Rsvd").orElse(0);
        return Check.ok(
                name, "%d of %s, %d free".formatted(total.getAsLong(), size(pageSize), free));
    }

    private Check transparentHugePages() {
        String name = "transparent huge pages";
        String setting = "sys/kernel/mm/transparent_hugepage/enabled";
        String modes = String.join("", lines(setting)); // always [madvise] never
        int start = modes.indexOf('[');
        int end = modes.indexOf(']');
        if (start < 0 || end < start) {
            return Check.unknown(name);
        }
        String mode = modes.substring(start + 1, end);
        return mode.equals("never")
                ? new Check(
                        name,
                        Status.WARN,
                        "never; guests that use much memory are slower",
                        "echo madvise | sudo tee /" + setting)
                : Check.ok(name, mode);
    }

    private Check samePageMerging() {
        String name = "KSM";
        String setting = "sys/kernel/mm/ksm/run";
        return switch (String.join("", lines(setting)).strip()) {
            case "0", "2" ->
                    Check.info(
                            name,
                            "off; it saves memory where guests are alike, and lets one guess"
                                    + " another's pages by timing");
            case "1" ->
                    new Check(
                            name,
                            Status.INFO,
                            "on; saves memory where guests are alike, and lets one guess another's"
                                    + " pages by timing; off if they do not trust each other",
                            "echo 2 | sudo tee /" + setting);
            default -> Check.unknown(name);
        };
    }

    // What the host side of devices needs

    private Check tun() {
        String name = "/dev/net/tun";
        try {
            probe.open(root.resolve("dev/net/tun"));
            return Check.ok(name, "can be opened");
        } catch (IOException e) {
            int errno = errno(e);
            String remedy =
                    errno == Errno.EPERM
                            ? START_CONTAINER + "docker run --device /dev/net/tun ..."
                            : deviceRemedy(errno, name, "tun");
            return new Check(
                    name,
                    Status.WARN,
                    "cannot be opened: %s; without it no tap network"
                            .formatted(errno == 0 ? message(e) : Errno.name(errno)),
                    remedy);
        }
    }

    /// What mends that a device cannot be opened, null if that is not known.
    ///
    /// @param module of the kernel that has it
    private @Nullable String deviceRemedy(int errno, String device, String module) {
        return switch (errno) {
            case Errno.ENOENT, Errno.ENODEV, Errno.ENXIO ->
                    inContainer()
                            ? START_CONTAINER + "docker run --device %s ...".formatted(device)
                            : "sudo modprobe " + module;
            case Errno.EACCES -> "sudo chmod 0666 " + device;
            default -> null;
        };
    }

    private Check vhostNet() {
        String name = "/dev/vhost-net";
        try {
            probe.open(root.resolve("dev/vhost-net"));
            return Check.ok(name, "can be opened");
        } catch (IOException e) {
            int errno = errno(e);
            String remedy = deviceRemedy(errno, name, "vhost_net");
            return new Check(
                    name,
                    Status.INFO,
                    "cannot be opened: %s; a tap network is slower without it"
                            .formatted(errno == 0 ? message(e) : Errno.name(errno)),
                    remedy);
        }
    }

    private Check passt() {
        return inPath("passt")
                .map(this::passt)
                .orElseGet(() ->
                        new Check(
                                "passt",
                                Status.WARN,
                                "not in PATH; without it no network for a guest without" + " root",
                                install("passt")));
    }

    /// It loses what does not fit into the buffer of its socket, and sends that again much later.
    private Check passt(Path program) {
        long buffer =
                lines("proc/sys/net/core/wmem_max").stream()
                        .map(DoctorChecks::number)
                        .findFirst()
                        .orElse(OptionalLong.empty())
                        .orElse(Long.MAX_VALUE);
        if (buffer >= PASST_BUFFER) {
            return Check.ok("passt", program.toString());
        }
        return new Check(
                "passt",
                Status.INFO,
                "%s; what guests receive is slow, as net.core.wmem_max is %d"
                        .formatted(program, buffer),
                "sudo sysctl -w net.core.wmem_max=16777216 net.core.rmem_max=16777216");
    }

    private Check virtiofsd() {
        return inPath("virtiofsd")
                .or(() ->
                        VIRTIOFSD.stream()
                                .map(root::resolve)
                                .filter(DoctorChecks::isProgram)
                                .findFirst())
                .map(program -> Check.ok("virtiofsd", program.toString()))
                .orElseGet(() ->
                        new Check(
                                "virtiofsd",
                                Status.WARN,
                                "not found; without it no shared directories",
                                install(virtiofsdPackage())));
    }

    /// Before Debian 13 and Ubuntu 24.04 it came with QEMU.
    private String virtiofsdPackage() {
        Optional<String> version = osRelease("VERSION_ID");
        double number = version.map(DoctorChecks::versionNumber).orElse(Double.MAX_VALUE);
        boolean withQemu =
                switch (osRelease("ID").orElse("")) {
                    case "debian" -> number < 13;
                    case "ubuntu" -> number < 24;
                    default -> false;
                };
        return withQemu ? "qemu-system-common" : "virtiofsd";
    }

    private static double versionNumber(String version) {
        try {
            return Double.parseDouble(version);
        } catch (NumberFormatException _) {
            return Double.MAX_VALUE;
        }
    }

    private String install(String name) {
        String systems = osRelease("ID").orElse("") + " " + osRelease("ID_LIKE").orElse("");
        for (String system : systems.split("\\s+", -1)) {
            switch (system) {
                case "debian", "ubuntu" -> {
                    return "sudo apt install " + name;
                }
                case "fedora", "rhel" -> {
                    return "sudo dnf install " + name;
                }
                case "arch" -> {
                    return "sudo pacman -S " + name;
                }
                case "suse", "opensuse" -> {
                    return "sudo zypper install " + name;
                }
                case "alpine" -> {
                    return "sudo apk add " + name;
                }
                default -> {
                    // perhaps the system that it is like
                }
            }
        }
        return "install the package " + name;
    }

    /// A value of os-release(5), without quotes.
    private Optional<String> osRelease(String key) {
        return after(key + "=", lines("etc/os-release")).map(value -> value.replace("\"", ""));
    }

    private Optional<Path> inPath(String program) {
        return path.stream()
                .map(directory -> directory.resolve(program))
                .filter(DoctorChecks::isProgram)
                .findFirst();
    }

    private static boolean isProgram(Path file) {
        return Files.isRegularFile(file) && Files.isExecutable(file);
    }

    private boolean inContainer() {
        return exists(".dockerenv")
                || exists("run/.containerenv")
                || exists("run/systemd/container");
    }

    // Files

    /// What `/proc/cpuinfo` says of the first processor.
    ///
    /// @param nested whether this is a virtual machine; null if that is unknown
    /// @param module of KVM for this processor
    private record Cpu(KvmKind kind, @Nullable Boolean nested, String module) {
        static Cpu parse(List<String> cpuinfo) {
            List<String> flags =
                    after("flags", cpuinfo)
                            .map(text -> List.of(text.split("[:\\s]+", -1)))
                            .orElse(List.of());
            boolean intel = cpuinfo.stream().anyMatch(line -> line.endsWith("GenuineIntel"));
            KvmKind kind = KvmKind.UNKNOWN;
            if (flags.contains("vmx")) {
                kind = KvmKind.VT_X;
            } else if (flags.contains("svm")) {
                kind = KvmKind.AMD_V;
            }
            return new Cpu(
                    kind,
                    flags.isEmpty() ? null : flags.contains("hypervisor"),
                    intel || kind == KvmKind.VT_X ? "kvm-intel" : "kvm-amd");
        }

        boolean isNested() {
            return Boolean.TRUE.equals(nested);
        }
    }

    /// A value of `/proc/meminfo`: KiB, or pages.
    private OptionalLong memoryInfo(String key) {
        return after(key + ":", lines("proc/meminfo"))
                .map(text -> number(text.replace("kB", "").strip()))
                .orElse(OptionalLong.empty());
    }

    /// What follows `prefix` in the first line that has it.
    private static Optional<String> after(String prefix, List<String> lines) {
        return lines.stream()
                .filter(line -> line.startsWith(prefix))
                .map(line -> line.substring(prefix.length()).strip())
                .findFirst();
    }

    private static OptionalLong number(String text) {
        try {
            return OptionalLong.of(Long.parseLong(text));
        } catch (NumberFormatException _) {
            return OptionalLong.empty();
        }
    }

    private List<String> lines(String file) {
        try {
            // Any byte is a character of it. Not readString, which reads a byte first: the kernel
            // gives no more than one piece of a number in /proc/sys.
            return Files.readAllLines(root.resolve(file), StandardCharsets.ISO_8859_1);
        } catch (IOException _) {
            return List.of();
        }
    }

    private boolean exists(String file) {
        return Files.exists(root.resolve(file));
    }

    private static int errno(IOException e) {
        if (e instanceof ErrnoException refusal) {
            return refusal.errno();
        }
        return e.getCause() instanceof ErrnoException refusal ? refusal.errno() : 0;
    }

    private static String message(IOException e) {
        return Optional.ofNullable(e.getMessage()).orElse(e.toString());
    }

    private static String size(long bytes) {
        if (bytes >= GIBIBYTE && bytes % GIBIBYTE != 0) {
            return String.format(Locale.ROOT, "%.1f GiB", (double) bytes / GIBIBYTE);
        }
        if (bytes >= GIBIBYTE) {
            return bytes / GIBIBYTE + " GiB";
        }
        return bytes >= KIBIBYTE * KIBIBYTE
                ? bytes / (KIBIBYTE * KIBIBYTE) + " MiB"
                : bytes / KIBIBYTE + " KiB";
    }
}
