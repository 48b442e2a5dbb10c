package org.kaval.ci;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.testcontainers.DockerClientFactory;

/// Decides for {@link NeedsDocker}.
final class NeedsDockerCondition implements ExecutionCondition {
    private static final String REMEDY =
            "; './kaval test' as root, or with sudo, installs and starts what is missing";

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        return decide(missing(), System.getenv());
    }

    /// @param missing what is not there
    static ConditionEvaluationResult decide(
            Optional<String> missing, Map<String, String> environment) {
        if (missing.isEmpty()) {
            return ConditionEvaluationResult.enabled("a Docker engine answers");
        }
        String reason = missing.get() + REMEDY;
        if (!environment.getOrDefault("KAVAL_CI", "").isEmpty()) {
            throw new AssertionError(reason);
        }
        return ConditionEvaluationResult.disabled(reason);
    }

    private static Optional<String> missing() {
        for (String program : List.of("docker", "mmdebstrap")) {
            if (!isInstalled(program)) {
                return Optional.of(program + " is not installed");
            }
        }
        return DockerClientFactory.instance().isDockerAvailable()
                ? Optional.empty()
                : Optional.of("no Docker engine answers");
    }

    private static boolean isInstalled(String program) {
        String path = Optional.ofNullable(System.getenv("PATH")).orElse("");
        return Pattern.compile(File.pathSeparator, Pattern.LITERAL)
                .splitAsStream(path)
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    }
}
