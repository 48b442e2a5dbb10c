package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.KernelSymbols;
import org.kaval.machine.diagnosis.Diagnosis;
import org.kaval.machine.diagnosis.Observation;
import org.kaval.machine.diagnosis.VcpuPicture;
import org.kaval.vcpu.ExitStatistics.Access;
import org.kaval.vcpu.Vcpu;
import org.kaval.vcpu.VcpuExit;

/// Looks at a machine's guest for a diagnosis. Any thread.
///
/// @param symbols a file of symbols that the user has named; null for those of the kernel
record Observer(Machine machine, Mainboard board, BootDescription boot, @Nullable Path symbols) {
    private record Place(boolean memory, boolean write, long address) {}

    /// Looks at a guest, which goes on if it runs. Of vCPUs that have stopped their registers are
    /// not known.
    Diagnosis look() throws IOException, InterruptedException {
        var pictures = new ArrayList<VcpuPicture>();
        for (Vcpu vcpu : machine.vcpus()) {
            try {
                pictures.add(picture(vcpu));
            } catch (IllegalStateException e) {
                if (vcpu.state() != Vcpu.State.STOPPED) {
                    throw e;
                }
            }
        }
        return diagnose(pictures, null);
    }

    /// Looks at a vCPU that cannot go on, on its thread. The others run, and are left alone: they
    /// may be here, too, and wait for this one.
    Diagnosis look(Vcpu stopped, VcpuExit exit) throws IOException, InterruptedException {
        return diagnose(List.of(picture(stopped)), exit);
    }

    private VcpuPicture picture(Vcpu vcpu) throws IOException, InterruptedException {
        return vcpu.call(kvm -> VcpuPicture.read(vcpu.index(), kvm, machine.memory()));
    }

    private Diagnosis diagnose(List<VcpuPicture> vcpus, @Nullable VcpuExit exit)
            throws IOException {
        return Diagnosis.of(
                new Observation(
                        KvmKind.detect(),
                        boot,
                        kernelSymbols(),
                        vcpus,
                        exit,
                        machine.exitCounts(),
                        accesses(),
                        board.serialUse(),
                        machine.interruptCounts(),
                        board.postCodes()));
    }

    private KernelSymbols kernelSymbols() {
        if (symbols != null) {
            return KernelSymbols.of(symbols);
        }
        Path kernel = boot.kernel();
        return kernel == null ? new KernelSymbols(null, "") : KernelSymbols.find(kernel);
    }

    /// Those of all vCPUs, summed up.
    private List<Observation.Accesses> accesses() {
        var sums = new HashMap<Place, Long>();
        for (Vcpu vcpu : machine.vcpus()) {
            for (Access access : vcpu.statistics().accesses()) {
                var place = new Place(access.memory(), access.write(), access.address());
                sums.merge(place, access.count(), Long::sum);
            }
        }
        return sums.entrySet().stream()
                .map(entry -> accesses(entry.getKey(), entry.getValue()))
                .sorted(
                        Comparator.comparingLong((Observation.Accesses all) -> all.access().count())
                                .reversed())
                .toList();
    }

    private Observation.Accesses accesses(Place place, long count) {
        Bus bus = place.memory ? machine.mmio() : machine.ports();
        return new Observation.Accesses(
                new Access(place.memory, place.write, place.address, count),
                bus.deviceAt(place.address).map(Device::toString).orElse(null));
    }
}
