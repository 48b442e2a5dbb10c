package org.kaval.ci;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;

/// The test boots small guests: it needs `/dev/kvm` of any kind.
///
/// It is skipped only where there is no such device. Where there is one that cannot be opened, it
/// fails: that is to be mended, not passed over.
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(NeedsKvmCondition.class)
public @interface NeedsKvm {}
