package org.kaval.machine.flight;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/// How often devices pulled one interrupt line.
@Name("kaval.Interrupts")
@Label("Interrupts from Devices")
@Category("Kaval")
@Period("1 s")
@StackTrace(false)
final class InterruptsEvent extends Event {
    @Label("Boot vCPU")
    @Description("Tells machines apart")
    final @Nullable Thread bootVcpu;

    @Label("Line")
    @Description("0 to 15 are the ISA interrupts, 16 to 23 PCI's pins")
    final int line;

    @Label("Count")
    @Description("Since the last event")
    final long count;

    InterruptsEvent(@Nullable Thread bootVcpu, int line, long count) {
        this.bootVcpu = bootVcpu;
        this.line = line;
        this.count = count;
    }
}
