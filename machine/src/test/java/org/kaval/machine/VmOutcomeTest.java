package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class VmOutcomeTest {
    @Test
    void textIsOneLineForAPerson() {
        List<String> texts =
                List.of(
                        new VmOutcome.PoweredOff().toString(),
                        new VmOutcome.Rebooted().toString(),
                        new VmOutcome.DebugExit(42).toString(),
                        new VmOutcome.Crashed(1, "triple fault", List.of("RIP=0")).toString(),
                        new VmOutcome.Halted().toString(),
                        new VmOutcome.Stopped().toString(),
                        new VmOutcome.TimedOut().toString());

        assertEquals(
                List.of(
                        "powered off",
                        "rebooted",
                        "exited with code 42",
                        "crashed: vcpu 1: triple fault",
                        "halted for good, without powering off",
                        "stopped",
                        "stopped at its time limit"),
                texts);
    }

    @Test
    void detailsOfACrashDoNotChange() {
        var details = new ArrayList<>(List.of("RIP=0"));
        var crashed = new VmOutcome.Crashed(0, "triple fault", details);

        details.clear();

        assertEquals(List.of("RIP=0"), crashed.details());
    }
}
