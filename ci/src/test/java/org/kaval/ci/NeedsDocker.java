package org.kaval.ci;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;

/// The test runs in Docker containers: it needs an engine that answers, and the programs docker and
/// mmdebstrap, with which their image is made.
///
/// Where one of them is missing it is skipped; with the environment variable `KAVAL_CI` set, as
/// `.ci/run` does, it fails there.
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(NeedsDockerCondition.class)
@interface NeedsDocker {}
