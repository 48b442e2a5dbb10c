package org.kaval.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;

/// The test is small, and needs nothing but KVM: with the profile `vtx` it runs on VT-x as Bochs
/// emulates it, as well. It goes with {@link NeedsKvm} or {@link NeedsHardwareVirtualization}.
///
/// There it has one CPU, which is interpreted, a clock that counts instructions, and of Java's
/// modules only the basic ones. Two things of VT-x are wrong in Bochs 2.7 (`cpu/vmx.cc`), so that
/// tests that need them do not have this annotation:
///
/// - A VM entry looks whether interrupts are to be masked (`setEFlags`) before it says that it is
///   in a guest, and not at all if the guest's interrupt flag is the host's, which KVM has cleared.
///   So no external interrupt ends a guest that was entered with interrupts off and does not enable
///   them: the host hangs with it. With the flag set it does (SDM 25.2, "External interrupts").
/// - A VM exit for a fetch that finds its page not mapped saves a pending single step, as if the
///   instruction had been executed: the first step of such a guest is one too many.
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@Inherited
@Tag("also-on-vt-x")
public @interface AlsoOnVtX {}
