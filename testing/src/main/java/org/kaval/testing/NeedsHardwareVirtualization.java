package org.kaval.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;

/// The test boots real systems: it needs a `/dev/kvm` that is VT-x or AMD-V.
///
/// It runs in place where there is one, and else in the nested host. It is never skipped.
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@Inherited
@Tag("hardware-virtualization")
public @interface NeedsHardwareVirtualization {}
