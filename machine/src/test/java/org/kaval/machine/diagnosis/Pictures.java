package org.kaval.machine.diagnosis;

import java.util.List;
import java.util.Map;
import org.kaval.devices.platform.Uart16550;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.KernelSymbols;
import org.kaval.machine.diagnosis.VcpuPicture.Activity;
import org.kaval.machine.diagnosis.VcpuPicture.Mode;

/// Guests to look at: an ordinary one, and what differs.
final class Pictures {
    static final long KERNEL = 0xffff_ffff_8100_0000L;
    static final String CODE = "fa f4 eb fd";

    static final VcpuPicture RUNNING =
            new VcpuPicture(0, Activity.RUNNING, Mode.LONG, KERNEL, 0, true, CODE, 0xfff, 0, 0);

    static final Observation NOTHING =
            new Observation(
                    KvmKind.AMD_V,
                    BootDescription.NONE,
                    new KernelSymbols(null, ""),
                    List.of(),
                    null,
                    Map.of(),
                    List.of(),
                    new Uart16550.Use(false, 0, false),
                    Map.of(),
                    List.of());

    private Pictures() {}

    static VcpuPicture activity(Activity activity, boolean interruptsOn) {
        return new VcpuPicture(0, activity, Mode.LONG, KERNEL, 0, interruptsOn, CODE, 0xfff, 0, 0);
    }

    static VcpuPicture at(long rip) {
        return known(rip, 0, 0);
    }

    /// A vCPU that has been told of handlers.
    static VcpuPicture known(long rip, long divideHandler, long syscallEntry) {
        return new VcpuPicture(
                0,
                Activity.RUNNING,
                Mode.LONG,
                rip,
                0,
                true,
                CODE,
                0xfff,
                divideHandler,
                syscallEntry);
    }
}
