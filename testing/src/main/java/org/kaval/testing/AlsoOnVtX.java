package org.kaval.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;

/// The test is small, and needs nothing but KVM for bare payloads: with the profile `vtx` it runs
/// on VT-x as Bochs emulates it, as well.
///
/// There it has one CPU, which is interpreted, a clock that counts instructions, and of Java's
/// modules only the basic ones. Single steps have failed there, and a test whose guest spins until
/// it is kicked has hung: such tests do not have this annotation. It goes with {@link NeedsKvm}.
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@Inherited
@Tag("also-on-vt-x")
public @interface AlsoOnVtX {}
