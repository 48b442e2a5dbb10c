package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class NeedsDockerConditionTest {
    private static final Optional<String> NO_ENGINE = Optional.of("no Docker engine answers");
    private static final String REASON =
            "no Docker engine answers; './kaval test' as root, or with sudo, installs and starts"
                    + " what is missing";

    @Test
    void runsWhereNothingIsMissing() {
        var result = NeedsDockerCondition.decide(Optional.empty(), Map.of("KAVAL_CI", "1"));
        assertFalse(result.isDisabled());
    }

    @Test
    void isSkippedWhereAnEngineIsMissing() {
        var result = NeedsDockerCondition.decide(NO_ENGINE, Map.of());
        assertTrue(result.isDisabled());
        assertEquals(Optional.of(REASON), result.getReason());
    }

    @Test
    void failsInCiWhereAnEngineIsMissing() {
        var failure =
                assertThrows(
                        AssertionError.class,
                        () -> NeedsDockerCondition.decide(NO_ENGINE, Map.of("KAVAL_CI", "1")));
        assertEquals(REASON, failure.getMessage());
    }
}
