package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.ci.Processes.Result;
import org.kaval.kvm.Kvm;
import org.testcontainers.containers.Container.ExecResult;
import org.testcontainers.containers.ExecConfig;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.images.builder.Transferable;

/// The packaged image as a newcomer meets it: on a clean Debian without a JDK, unpacked, and run.
@NeedsDocker
class NewcomerContainerTest {
    private static final String ROOT = "root";

    /// In the group that may use `/dev/kvm`; has unpacked the image in its home.
    private static final String MEMBER = "member";

    /// Not in that group.
    private static final String STRANGER = "stranger";

    /// The device's group and mode are those that udev gives it on a host; they are the container's
    /// own, as its device node is.
    private static final String USERS =
            """
            set -e
            groupadd --system kvm
            chgrp kvm /dev/kvm
            chmod 0660 /dev/kvm
            useradd --create-home --groups kvm member
            useradd --create-home stranger
            """;

    private static final String MEMBERS_HOME = "/home/member";
    private static final String ROOTS_FOLDER = "/opt";
    private static final String PAYLOAD = "/payload.bin";

    @AutoClose private static DebianContainers debian;
    private static GenericContainer<?> withKvm;
    private static GenericContainer<?> withoutKvm;

    @BeforeAll
    @Timeout(value = 10, unit = TimeUnit.MINUTES) // where Debian's packages are fetched slowly
    static void unpackTheImage() throws Exception {
        assumeTrue(Files.exists(Kvm.DEVICE), "containers are given this machine's /dev/kvm");
        debian = new DebianContainers();
        withKvm = debian.startWithKvm();
        withoutKvm = debian.startWithoutKvm();
        withKvm.copyFileToContainer(Transferable.of(letterThenExit()), PAYLOAD);
        succeed(withKvm, ROOT, "sh", "-c", USERS);
        String[] unpack = {"tar", "-xzf", DebianContainers.ARCHIVE};
        succeed(withKvm, MEMBER, unpack);
        succeed(withKvm, ROOT, unpack);
        succeed(withoutKvm, ROOT, unpack);
    }

    @Test
    void containerIsWithoutAJdk() throws Exception {
        assertEquals("", run(withKvm, ROOT, "sh", "-c", "command -v java").out());
        Result packages = run(withKvm, ROOT, "dpkg-query", "--show", "-f", "${Package}\n");
        assertTrue(packages.out().contains("\nlibc6\n"), packages.out());
        assertEquals(List.of(), packages.out().lines().filter(n -> n.contains("jdk")).toList());
    }

    @ParameterizedTest
    @ValueSource(strings = {ROOT, MEMBER})
    void versionIsThatOfTheBuild(String user) throws Exception {
        Result result = kaval(withKvm, user, "--version");
        assertEquals(Processes.run(Image.kaval(), "--version"), result);
    }

    @ParameterizedTest
    @ValueSource(strings = {ROOT, MEMBER})
    void doctorFindsAHostThatRunsGuests(String user) throws Exception {
        Result result = kaval(withKvm, user, "doctor");
        assertEquals("", result.err());
        assertEquals(0, result.status(), result.out());
        assertTrue(result.out().matches("(?s)ok +/dev/kvm +can be opened\n.*"), result.out());
        assertTrue(result.out().contains("\nthis host runs guests"), result.out());
    }

    @ParameterizedTest
    @ValueSource(strings = {ROOT, MEMBER})
    void doctorSeesTheSameKvmAsOutside(String user) throws Exception {
        Result inside = kaval(withKvm, user, "doctor", "--json");
        assertEquals(0, inside.status(), inside.out());
        assertEquals(kind(Processes.run(Image.kaval(), "doctor", "--json")), kind(inside));
    }

    @ParameterizedTest
    @ValueSource(strings = {ROOT, MEMBER})
    void demoBootsAGuest(String user) throws Exception {
        Result result = kaval(withKvm, user, "demo");
        assertEquals("", result.err());
        assertEquals(0, result.status());
        assertTrue(result.out().contains("Hello from a guest in 64-bit mode."), result.out());
        assertTrue(result.out().contains("The guest powered off."), result.out());
    }

    @ParameterizedTest
    @ValueSource(strings = {ROOT, MEMBER})
    void payloadPrintsAndEndsWithItsCode(String user) throws Exception {
        Result result = kaval(withKvm, user, "run", "--payload", PAYLOAD);
        assertEquals(new Result(42, "K", ""), result);
    }

    @Test
    void doctorTellsAUserWithoutPermissionHowToStartTheContainer() throws Exception {
        Result result = kaval(withKvm, STRANGER, "doctor");
        assertEquals(3, result.status());
        assertEquals("", result.err());
        assertFailure(
                "cannot be opened: EACCES; this container may not use the device",
                "docker run --device /dev/kvm --group-add $(stat -c %g /dev/kvm) ...",
                result.out());
    }

    @Test
    void demoTellsAUserWithoutPermissionTheGroupInOneLine() throws Exception {
        Result result = kaval(withKvm, STRANGER, "demo");
        assertEquals(3, result.status());
        assertEquals("", result.out());
        assertEquals(1, result.errorLines().size(), result.err());
        assertTrue(
                result.err()
                        .startsWith(
                                "kaval: cannot open /dev/kvm: EACCES; join its group with"
                                        + " 'sudo usermod -aG kvm $USER'"),
                result.err());
    }

    @Test
    void doctorWithoutTheDeviceTellsHowToStartTheContainer() throws Exception {
        Result result = kaval(withoutKvm, ROOT, "doctor");
        assertEquals(3, result.status());
        assertEquals("", result.err());
        assertFailure(
                "cannot be opened: ENOENT; this container does not have the device",
                "docker run --device /dev/kvm ...",
                result.out());
    }

    @Test
    void demoWithoutTheDeviceTellsTheRemedyInOneLine() throws Exception {
        Result result = kaval(withoutKvm, ROOT, "demo");
        assertEquals(3, result.status());
        assertEquals("", result.out());
        assertEquals(1, result.errorLines().size(), result.err());
        assertTrue(result.err().startsWith("kaval: cannot open /dev/kvm: ENOENT; "), result.err());
        assertTrue(
                result.err().endsWith("; a container is started with '--device /dev/kvm'\n"),
                result.err());
    }

    private static void assertFailure(String detail, String remedy, String report) {
        assertTrue(report.matches("(?s)FAIL +/dev/kvm +\\Q" + detail + "\\E\n.*"), report);
        assertTrue(report.contains(" " + remedy + "\n"), report);
        assertTrue(report.contains("\nthis host cannot run guests; failures: "), report);
    }

    private static List<String> kind(Result doctor) {
        return doctor.out().lines().filter(line -> line.startsWith("  \"kind\" : ")).toList();
    }

    private static byte[] letterThenExit() {
        return Payloads.bytes(
                "66 ba f8 03", // mov dx, 0x3f8
                "b0 4b", // mov al, 'K'
                "ee", // out dx, al
                "b8 2a 00 00 00", // mov eax, 42
                "e7 f4"); // out 0xf4, eax
    }

    /// Runs the command that `user` has unpacked, or else root's.
    private static Result kaval(GenericContainer<?> container, String user, String... arguments)
            throws Exception {
        var command = new ArrayList<String>();
        command.add((user.equals(MEMBER) ? MEMBERS_HOME : ROOTS_FOLDER) + "/kaval/bin/kaval");
        command.addAll(List.of(arguments));
        return run(container, user, command.toArray(String[]::new));
    }

    private static void succeed(GenericContainer<?> container, String user, String... command)
            throws Exception {
        assertEquals(new Result(0, "", ""), run(container, user, command));
    }

    private static Result run(GenericContainer<?> container, String user, String... command)
            throws Exception {
        ExecResult result =
                container.execInContainer(
                        ExecConfig.builder()
                                .user(user)
                                .workDir(user.equals(MEMBER) ? MEMBERS_HOME : ROOTS_FOLDER)
                                .command(command)
                                .build());
        return new Result(result.getExitCode(), result.getStdout(), result.getStderr());
    }
}
