package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.kaval.cli.DoctorReport.Check;
import org.kaval.cli.DoctorReport.Status;
import org.kaval.kvm.Capability;
import org.kaval.kvm.KvmKind;
import picocli.CommandLine.Help.Ansi;

class DoctorReportTest {
    private static final Check GOOD = Check.ok("/dev/kvm", "can be opened");
    private static final Check NEWS = new Check("huge pages", Status.INFO, "none", "sysctl x=1");
    private static final Check LOSS = new Check("passt", Status.WARN, "not in PATH", "get passt");
    private static final Check END = new Check("vm", Status.FAIL, "EBUSY", "stop it\nwait");

    @Test
    void infoDoesNotSpoilAGoodReport() {
        assertEquals(Status.OK, report(GOOD, NEWS).status());
        assertEquals(ExitStatus.OK, report(GOOD, NEWS).exitStatus());
    }

    @Test
    void warningLeavesTheExitStatusGood() {
        assertEquals(Status.WARN, report(GOOD, LOSS, NEWS).status());
        assertEquals(ExitStatus.OK, report(GOOD, LOSS, NEWS).exitStatus());
    }

    @Test
    void oneFailureDecides() {
        assertEquals(Status.FAIL, report(END, LOSS, GOOD).status());
        assertEquals(ExitStatus.HOST, report(END, LOSS, GOOD).exitStatus());
    }

    @Test
    void tableIsAlignedAndFollowsProblemsWithCommands() {
        assertEquals(
                """
                ok    /dev/kvm    can be opened
                info  huge pages  none
                                  try: sysctl x=1
                warn  passt       not in PATH
                                  fix: get passt
                FAIL  vm          EBUSY
                                  fix: stop it
                                       wait

                what the capabilities are worth:
                  IRQFD                  1     MP_STATE               2     XSAVE2                 4096

                this host cannot run guests; failures: 1\
                """,
                report(GOOD, NEWS, LOSS, END).table(Ansi.OFF));
    }

    @Test
    void tableWithoutCapabilitiesLeavesThemOut() {
        var report = new DoctorReport(KvmKind.UNKNOWN, null, List.of(GOOD), Map.of());

        assertEquals(
                "ok    /dev/kvm  can be opened\n\nthis host runs guests", report.table(Ansi.OFF));
    }

    @Test
    void colourDoesNotMoveColumns() {
        String table = report(GOOD, LOSS).table(Ansi.ON);

        assertTrue(table.startsWith("\u001b["), table);
        assertEquals(report(GOOD, LOSS).table(Ansi.OFF), table.replaceAll("\u001b\\[[0-9;]*m", ""));
    }

    @Test
    void detailThatLooksLikeMarkupStaysAsItIs() {
        var odd = Check.ok("passt", "/opt/@|red x|@/passt");

        assertTrue(report(odd).table(Ansi.ON).contains("/opt/@|red x|@/passt"));
    }

    @Test
    void jsonHasEveryField() throws IOException {
        Map<String, Object> json = JSON.std.mapFrom(report(GOOD, LOSS).json());

        assertEquals(
                Map.of(
                        "status",
                        "warn",
                        "kind",
                        "VT-x",
                        "nested",
                        true,
                        "checks",
                        List.of(
                                Map.of(
                                        "name", "/dev/kvm",
                                        "status", "ok",
                                        "detail", "can be opened"),
                                Map.of(
                                        "name", "passt",
                                        "status", "warn",
                                        "detail", "not in PATH",
                                        "remedy", "get passt")),
                        "capabilities",
                        Map.of("IRQFD", 1, "MP_STATE", 2, "XSAVE2", 4096)),
                json);
    }

    @Test
    void jsonSaysNullWhereNestedIsUnknown() throws IOException {
        var report = new DoctorReport(KvmKind.UNKNOWN, null, List.of(END), Map.of());

        Map<String, Object> json = JSON.std.mapFrom(report.json());

        assertTrue(json.containsKey("nested"));
        assertEquals(null, json.get("nested"));
        assertEquals("fail", json.get("status"));
        assertEquals("unknown", json.get("kind"));
    }

    private static DoctorReport report(Check... checks) {
        return new DoctorReport(
                KvmKind.VT_X,
                true,
                Arrays.asList(checks),
                Map.of(Capability.XSAVE2, 4096, Capability.IRQFD, 1, Capability.MP_STATE, 2));
    }
}
