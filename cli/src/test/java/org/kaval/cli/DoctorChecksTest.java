package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.cli.DoctorReport.Check;
import org.kaval.cli.DoctorReport.Status;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmKind;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;

class DoctorChecksTest {
    private static final String INTEL_NESTED =
            "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx hypervisor\n";
    private static final String AMD_BARE = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu svm\n";
    private static final String AMD_WITHOUT_SVM =
            "vendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor\n";
    private static final int EIO = 5;
    private static final int EOPNOTSUPP = 95;

    @TempDir private Path root = Path.of("");

    @Test
    void hostWithEverythingIsOk() throws IOException {
        file("proc/cpuinfo", AMD_BARE);
        file("proc/self/limits", "Max open files   20000   20000   files\n");
        file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        program("bin/passt");
        program("bin/virtiofsd");

        DoctorReport report = report(new FakeDevices());

        assertEquals(Status.OK, report.status());
        assertEquals(ExitStatus.OK, report.exitStatus());
    }

    @Test
    void emptyFileSystemGivesUnknownAndNoKvm() {
        DoctorReport report = report(new DoctorProbe.Devices()); // finds no device in the tree

        assertEquals(ExitStatus.HOST, report.exitStatus());
        assertEquals(KvmKind.UNKNOWN, report.kind());
        assertNull(report.nested());
        assertEquals(Map.of(), report.capabilities());
        assertEquals(Status.WARN, check(report, "/dev/net/tun").status());
        assertEquals(
                List.of(
                        "kind",
                        "virtual machine",
                        "capabilities",
                        "vCPUs of a guest",
                        "memory slots",
                        "open files",
                        "locked memory",
                        "memory",
                        "huge pages",
                        "transparent huge pages",
                        "KSM"),
                report.checks().stream()
                        .filter(check -> check.detail().equals("unknown"))
                        .map(Check::name)
                        .toList());
    }

    @Test
    void filesOfGarbageGiveUnknown() throws IOException {
        String garbage = "\u00ff[\nflags\nMax open files\nMemTotal: many kB\nHugepagesize: x\n";
        file("proc/cpuinfo", garbage);
        file("proc/self/limits", garbage);
        file("proc/meminfo", garbage);
        file("sys/kernel/mm/transparent_hugepage/enabled", garbage);
        file("sys/kernel/mm/ksm/run", garbage);
        file("etc/os-release", garbage);

        DoctorReport report = report(new FakeDevices());

        assertEquals(Check.unknown("memory"), check(report, "memory"));
        assertEquals(Check.unknown("huge pages"), check(report, "huge pages"));
        assertEquals(
                Check.unknown("transparent huge pages"), check(report, "transparent huge pages"));
        assertEquals(Check.unknown("KSM"), check(report, "KSM"));
        assertEquals("install the package passt", check(report, "passt").remedy());
    }

    // Kinds

    @Test
    void vtxInAVirtualMachineIsNested() throws IOException {
        file("proc/cpuinfo", INTEL_NESTED);

        DoctorReport report = report(new FakeDevices());

        assertEquals(KvmKind.VT_X, report.kind());
        assertEquals(true, report.nested());
        assertEquals(Check.ok("kind", "VT-x, nested; runs everything"), check(report, "kind"));
    }

    @Test
    void amdvOnBareMetalIsNotNested() throws IOException {
        file("proc/cpuinfo", AMD_BARE);

        DoctorReport report = report(new FakeDevices());

        assertEquals(KvmKind.AMD_V, report.kind());
        assertEquals(false, report.nested());
        assertEquals(Check.ok("kind", "AMD-V; runs everything"), check(report, "kind"));
    }

    @Test
    void pvmWarnsOfWhatDoesNotRun() throws IOException {
        file("proc/cpuinfo", AMD_WITHOUT_SVM);
        directory("sys/module/kvm_pvm");

        DoctorReport report = report(new FakeDevices());

        assertEquals(KvmKind.PVM, report.kind());
        Check kind = check(report, "kind");
        assertEquals(Status.WARN, kind.status());
        assertContains(kind.detail(), "no unmodified 64-bit kernel");
        assertContains(kind.remedy(), "options kvm-amd nested=1");
        assertEquals(ExitStatus.OK, report.exitStatus());
    }

    // /dev/kvm

    @Test
    void moduleThatIsNotLoadedIsNamed() throws IOException {
        file("proc/cpuinfo", INTEL_NESTED);

        Check kvm = check(report(new DoctorProbe.Devices()), "/dev/kvm");

        assertEquals(
                new Check(
                        "/dev/kvm",
                        Status.FAIL,
                        "cannot be opened: ENOENT; the module kvm-intel is not loaded",
                        "sudo modprobe kvm-intel"),
                kvm);
    }

    @Test
    void deviceNodeWithoutModuleIsMendedByModprobe() throws IOException {
        file("proc/cpuinfo", AMD_BARE);

        Check kvm = check(report(new FakeDevices().refuse(Errno.ENODEV)), "/dev/kvm");

        assertEquals("sudo modprobe kvm-amd", kvm.remedy());
    }

    @Test
    void loadedModuleWithoutDeviceNodeIsMendedByMknod() throws IOException {
        file("proc/cpuinfo", AMD_BARE);
        directory("sys/module/kvm_amd");

        Check kvm = check(report(new FakeDevices().refuse(Errno.ENOENT)), "/dev/kvm");

        assertContains(kvm.remedy(), "sudo mknod --mode=0660 /dev/kvm c 10 232");
    }

    @Test
    void processorWithoutVirtualizationSendsToTheFirmware() throws IOException {
        file("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu vme\n");

        Check kvm = check(report(new FakeDevices().refuse(Errno.ENOENT)), "/dev/kvm");

        assertContains(kvm.detail(), "neither vmx nor svm");
        assertContains(kvm.remedy(), "sudo systemctl reboot --firmware-setup");
    }

    @Test
    void virtualMachineWithoutVirtualizationSendsToTheOuterHypervisor() throws IOException {
        file("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor\n");

        Check kvm = check(report(new FakeDevices().refuse(Errno.ENOENT)), "/dev/kvm");

        assertContains(kvm.remedy(), "options kvm-intel nested=1");
    }

    @Test
    void containerIsToGetTheDevice() throws IOException {
        file("proc/cpuinfo", AMD_BARE);
        directory("sys/module/kvm_amd");
        file(".dockerenv", "");

        Check kvm = check(report(new FakeDevices().refuse(Errno.ENOENT)), "/dev/kvm");

        assertEquals("# start the container so:\ndocker run --device /dev/kvm ...", kvm.remedy());
    }

    @Test
    void containerOnAHostWithoutModuleNeedsBoth() throws IOException {
        file("proc/cpuinfo", AMD_BARE);
        file("run/.containerenv", "");

        Check kvm = check(report(new FakeDevices().refuse(Errno.ENOENT)), "/dev/kvm");

        assertContains(kvm.remedy(), "sudo modprobe kvm-amd");
        assertContains(kvm.remedy(), "--device /dev/kvm");
    }

    @Test
    void deniedContainerIsToGetDeviceAndGroup() throws IOException {
        file(".dockerenv", "");

        Check kvm = check(report(new FakeDevices().refuse(Errno.EPERM)), "/dev/kvm");

        assertContains(kvm.remedy(), "--device /dev/kvm --group-add $(stat -c %g /dev/kvm)");
    }

    @Test
    void deniedPermissionIsMendedByRuleAndGroup() throws IOException {
        file("etc/group", "root:x:0:\nkvm:x:106:\n");

        Check kvm = check(report(new FakeDevices().refuse(Errno.EACCES)), "/dev/kvm");

        assertEquals(Status.FAIL, kvm.status());
        assertEquals("cannot be opened: EACCES; no permission", kvm.detail());
        assertEquals(
                """
                echo 'KERNEL=="kvm", GROUP="kvm", MODE="0660"' | sudo tee /etc/udev/rules.d/99-kaval-kvm.rules
                sudo udevadm control --reload && sudo udevadm trigger --name-match=kvm
                sudo usermod -aG kvm $USER  # then log in again\
                """,
                kvm.remedy());
    }

    @Test
    void groupThatIsMissingIsMadeFirst() {
        Check kvm = check(report(new FakeDevices().refuse(Errno.EACCES)), "/dev/kvm");

        assertEquals(
                "sudo groupadd --system kvm",
                String.valueOf(kvm.remedy()).lines().findFirst().orElse(""));
    }

    @Test
    void fileThatIsNotKvmFails() throws IOException {
        file("dev/kvm", "");

        DoctorReport report = report(new DoctorProbe.Devices());

        assertContains(check(report, "/dev/kvm").detail(), "is not KVM");
        assertEquals(ExitStatus.HOST, report.exitStatus());
    }

    @Test
    void processWithoutDescriptorsLeftIsToldSo() {
        Check kvm = check(report(new FakeDevices().refuse(Errno.EMFILE)), "/dev/kvm");

        assertContains(kvm.remedy(), "prlimit");
    }

    @Test
    void unexpectedRefusalNamesTheErrno() {
        Check kvm = check(report(new FakeDevices().refuse(EIO)), "/dev/kvm");

        assertContains(kvm.detail(), "EIO");
    }

    // The machine and the capabilities

    @Test
    void busyProcessorNamesTheOtherHypervisor() throws IOException {
        directory("sys/module/vboxdrv");

        DoctorReport report = report(new FakeDevices().refuseVm(Errno.EBUSY));

        Check vm = check(report, "virtual machine");
        assertEquals(Status.FAIL, vm.status());
        assertContains(vm.detail(), "KVM_CREATE_VM: EBUSY; another hypervisor");
        assertContains(vm.remedy(), "modprobe -r vboxnetadp vboxnetflt vboxdrv");
        assertEquals(ExitStatus.HOST, report.exitStatus());
    }

    @Test
    void busyProcessorOfAnUnknownHypervisorStillFails() {
        Check vm = check(report(new FakeDevices().refuseVm(Errno.EBUSY)), "virtual machine");

        assertEquals(Status.FAIL, vm.status());
        assertNull(vm.remedy());
    }

    @Test
    void otherRefusalOfAMachineSendsToTheKernelLog() {
        Check vm = check(report(new FakeDevices().refuseVm(EOPNOTSUPP)), "virtual machine");

        assertEquals("sudo dmesg | grep -i kvm", vm.remedy());
    }

    @Test
    void missingRequiredCapabilityFails() {
        DoctorReport report = report(new FakeDevices().without(Capability.IRQFD));

        assertEquals(
                new Check(
                        "KVM_CAP_IRQFD",
                        Status.FAIL,
                        "not there; without it: " + Capability.IRQFD.withoutIt(),
                        null),
                check(report, "KVM_CAP_IRQFD"));
        assertEquals(ExitStatus.HOST, report.exitStatus());
    }

    @Test
    void missingWantedCapabilityWarns() {
        DoctorReport report = report(new FakeDevices().without(Capability.XCRS));

        assertEquals(Status.WARN, check(report, "KVM_CAP_XCRS").status());
        assertEquals(ExitStatus.OK, report.exitStatus());
    }

    @Test
    void limitsAreTheValuesOfCapabilities() {
        DoctorReport report = report(new FakeDevices());

        assertEquals("up to 7", check(report, "vCPUs of a guest").detail());
        assertEquals("up to 7", check(report, "memory slots").detail());
    }

    // The rest of the host

    @Test
    void fewDescriptorsWarn() throws IOException {
        file(
                "proc/self/limits",
                "Max open files            256                  256        files\n");

        Check files = check(report(new FakeDevices()), "open files");

        assertEquals(Status.WARN, files.status());
        assertEquals("up to 256; many guests need 1024", files.detail());
        assertContains(files.remedy(), "prlimit");
    }

    @Test
    void limitsAreShownWithUnits() throws IOException {
        file(
                "proc/self/limits",
                """
                Limit                     Soft Limit           Hard Limit           Units
                Max open files            unlimited            unlimited            files
                Max locked memory         8388608              8388608              bytes
                """);

        DoctorReport report = report(new FakeDevices());

        assertEquals("up to unlimited", check(report, "open files").detail());
        assertEquals("up to 8 MiB", check(report, "locked memory").detail());
    }

    @Test
    void memoryAndHugePagesAreRead() throws IOException {
        file(
                "proc/meminfo",
                """
                MemTotal:       16777216 kB
                MemAvailable:    9437184 kB
                HugePages_Total:      64
                HugePages_Free:       60
                HugePages_Rsvd:       10
                Hugepagesize:       2048 kB
                """);

        DoctorReport report = report(new FakeDevices());

        assertEquals("16 GiB, available 9 GiB", check(report, "memory").detail());
        assertEquals(Check.ok("huge pages", "64 of 2 MiB, 50 free"), check(report, "huge pages"));
    }

    @Test
    void emptyPoolOfHugePagesComesWithTheCommand() throws IOException {
        file("proc/meminfo", "HugePages_Total:  0\nHugePages_Free: 0\nHugepagesize: 2048 kB\n");

        Check hugePages = check(report(new FakeDevices()), "huge pages");

        assertEquals(Status.INFO, hugePages.status());
        assertEquals("sudo sysctl vm.nr_hugepages=512  # for 1 GiB", hugePages.remedy());
    }

    @Test
    void transparentHugePagesThatAreOffWarn() throws IOException {
        file("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");

        Check mode = check(report(new FakeDevices()), "transparent huge pages");

        assertEquals(Status.WARN, mode.status());
        assertEquals(
                "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
                mode.remedy());
    }

    @Test
    void samePageMergingNamesItsSideChannel() throws IOException {
        file("sys/kernel/mm/ksm/run", "1\n");

        Check merging = check(report(new FakeDevices()), "KSM");

        assertEquals(Status.INFO, merging.status());
        assertContains(merging.detail(), "by timing");
        assertEquals("echo 2 | sudo tee /sys/kernel/mm/ksm/run", merging.remedy());
    }

    @Test
    void missingTunIsMendedByModprobe() {
        Check tun = check(report(new FakeDevices().refuseTun(Errno.ENOENT)), "/dev/net/tun");

        assertEquals(Status.WARN, tun.status());
        assertEquals("sudo modprobe tun", tun.remedy());
    }

    @Test
    void deniedTunIsMendedByItsMode() {
        Check tun = check(report(new FakeDevices().refuseTun(Errno.EACCES)), "/dev/net/tun");

        assertEquals("sudo chmod 0666 /dev/net/tun", tun.remedy());
    }

    @Test
    void missingVhostIsNoLossAndMendedByModprobe() {
        FakeDevices devices = new FakeDevices().refuseTun(Errno.ENOENT);

        Check vhost = check(report(devices), "/dev/vhost-net");

        assertEquals(Status.INFO, vhost.status());
        assertEquals("sudo modprobe vhost_net", vhost.remedy());
        assertEquals(Status.OK, check(report(new FakeDevices()), "/dev/vhost-net").status());
    }

    @Test
    void passtInThePathIsFound() throws IOException {
        Path passt = program("bin/passt");

        assertEquals(
                Check.ok("passt", passt.toString()), check(report(new FakeDevices()), "passt"));
    }

    @Test
    void passtWithSmallBuffersNamesTheSetting() throws IOException {
        program("bin/passt");
        file("proc/sys/net/core/wmem_max", "212992\n");

        Check passt = check(report(new FakeDevices()), "passt");

        assertEquals(Status.INFO, passt.status());
        assertEquals(
                "sudo sysctl -w net.core.wmem_max=16777216 net.core.rmem_max=16777216",
                passt.remedy());
        file("proc/sys/net/core/wmem_max", "2097152\n");
        assertEquals(Status.OK, check(report(new FakeDevices()), "passt").status());
    }

    @Test
    void fileThatCannotBeExecutedIsNoProgram() throws IOException {
        file("bin/passt", "");

        assertEquals(Status.WARN, check(report(new FakeDevices()), "passt").status());
    }

    @Test
    void missingProgramsNameTheCommandOfTheDistribution() throws IOException {
        file(
                "etc/os-release",
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n");

        DoctorReport report = report(new FakeDevices());

        assertEquals("sudo dnf install passt", check(report, "passt").remedy());
        assertEquals("sudo dnf install virtiofsd", check(report, "virtiofsd").remedy());
    }

    @Test
    void virtiofsdComesWithQemuOnDebian12() throws IOException {
        file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");

        Check virtiofsd = check(report(new FakeDevices()), "virtiofsd");

        assertEquals("sudo apt install qemu-system-common", virtiofsd.remedy());
    }

    @Test
    void virtiofsdIsItsOwnPackageOnLaterUbuntu() throws IOException {
        file("etc/os-release", "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n");

        Check virtiofsd = check(report(new FakeDevices()), "virtiofsd");

        assertEquals("sudo apt install virtiofsd", virtiofsd.remedy());
    }

    @Test
    void virtiofsdIsFoundOutsideThePath() throws IOException {
        Path virtiofsd = program("usr/lib/qemu/virtiofsd");

        assertEquals(
                Check.ok("virtiofsd", virtiofsd.toString()),
                check(report(new FakeDevices()), "virtiofsd"));
    }

    private DoctorReport report(DoctorProbe probe) {
        return new DoctorChecks(root, List.of(root.resolve("bin")), probe).report();
    }

    private static Check check(DoctorReport report, String name) {
        return report.checks().stream()
                .filter(check -> check.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private static void assertContains(@Nullable String text, String part) {
        assertTrue(text != null && text.contains(part), () -> text + " has no " + part);
    }

    private void file(String name, String content) throws IOException {
        Path file = root.resolve(name);
        Files.createDirectories(file.resolveSibling("."));
        Files.writeString(file, content);
    }

    private void directory(String name) throws IOException {
        Files.createDirectories(root.resolve(name));
    }

    private Path program(String name) throws IOException {
        file(name, "");
        return Files.setPosixFilePermissions(
                root.resolve(name), PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /// Everything is there, and every capability is worth 7, unless told otherwise.
    private static final class FakeDevices implements DoctorProbe {
        private final Map<Capability, Integer> capabilities = new EnumMap<>(Capability.class);
        private int kvmErrno;
        private int tunErrno;
        private @Nullable ErrnoException vmRefusal;

        FakeDevices() {
            List.of(Capability.values()).forEach(capability -> capabilities.put(capability, 7));
        }

        FakeDevices refuse(int errno) {
            kvmErrno = errno;
            return this;
        }

        FakeDevices refuseVm(int errno) {
            vmRefusal = new ErrnoException("KVM_CREATE_VM", "/dev/kvm", errno);
            return this;
        }

        FakeDevices refuseTun(int errno) {
            tunErrno = errno;
            return this;
        }

        FakeDevices without(Capability capability) {
            capabilities.put(capability, 0);
            return this;
        }

        @Override
        public KvmAnswers kvm(Path device) throws IOException {
            if (kvmErrno != 0) {
                var cause = new ErrnoException("openat", device.toString(), kvmErrno);
                throw new HostUnsupportedException("cannot open it", cause);
            }
            return new KvmAnswers(capabilities, vmRefusal);
        }

        @Override
        public void open(Path device) throws IOException {
            if (tunErrno != 0) {
                throw new ErrnoException("openat", device.toString(), tunErrno);
            }
        }
    }
}
