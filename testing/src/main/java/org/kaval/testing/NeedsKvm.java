package org.kaval.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;

/// The test boots small guests: it needs `/dev/kvm` of any kind.
///
/// It runs in place where there is one, and in the nested host as well unless the one in place is
/// hardware virtualization: so both kinds of KVM are covered. It is never skipped.
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@Inherited
@Tag("kvm")
public @interface NeedsKvm {}
