package org.kaval.ci;

import java.nio.file.Files;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.kaval.kvm.Kvm;

/// Decides for {@link NeedsKvm}; public because that annotation names it.
public final class NeedsKvmCondition implements ExecutionCondition {
    /// For JUnit.
    public NeedsKvmCondition() {}

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        return Files.exists(Kvm.DEVICE)
                ? ConditionEvaluationResult.enabled("there is " + Kvm.DEVICE)
                : ConditionEvaluationResult.disabled("there is no " + Kvm.DEVICE);
    }
}
