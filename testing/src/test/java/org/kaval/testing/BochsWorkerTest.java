package org.kaval.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.platform.testkit.engine.EngineExecutionResults;

/// Tests that run on emulated VT-x: one Bochs has them all, but for a crash, after which another
/// has the rest. With the profile `vtx` only.
@Tag("bochs")
@Timeout(value = 15, unit = TimeUnit.MINUTES) // two minutes on an idle processor
class BochsWorkerTest {
    @Test
    void testsRunOnVtXAndACrashFailsOneOfThem() {
        var printed = new ByteArrayOutputStream();
        PrintStream out = System.out;
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        EngineExecutionResults results;
        try {
            results =
                    NestedHostEngineTest.engine(
                                    Place.VTX,
                                    Samples.CrashingOnVtX.class,
                                    Samples.PartlyOnVtX.class)
                            .execute();
        } finally {
            System.setOut(out);
        }

        assertEquals(
                Map.of(
                        "runsBefore()", "SUCCESSFUL",
                        "ends()", "FAILED",
                        "runsAfter()", "SUCCESSFUL",
                        "passesOnVtX()", "SUCCESSFUL",
                        "failsOnVtX()", "FAILED"),
                NestedHostEngineTest.outcomes(results));
        Throwable crash = NestedHostEngineTest.failure(results, "ends()");
        assertTrue(String.valueOf(crash.getMessage()).contains("ended with status 134"));
        assertTrue(printed.toString(StandardCharsets.UTF_8).contains("printed on VT-x"));
    }
}
