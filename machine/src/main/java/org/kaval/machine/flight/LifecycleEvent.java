package org.kaval.machine.flight;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/// A machine was started, paused, resumed, or ended.
@Name("kaval.Lifecycle")
@Label("Life-cycle")
@Category("Kaval")
@StackTrace(false)
final class LifecycleEvent extends Event {
    @Label("Boot vCPU")
    @Description("Tells machines apart")
    final @Nullable Thread bootVcpu;

    @Label("What")
    final String what;

    LifecycleEvent(@Nullable Thread bootVcpu, String what) {
        this.bootVcpu = bootVcpu;
        this.what = what;
    }
}
