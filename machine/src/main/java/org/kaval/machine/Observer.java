package org.kaval.machine;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
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
/// What a guest was at when it ended is kept, as its vCPUs can be asked no more then.
final class Observer {
    private static final Logger LOG = System.getLogger(Observer.class.getName());

    private final Machine machine;
    private final Mainboard board;
    private final BootDescription boot;
    private final @Nullable Path symbols;
    private volatile List<VcpuPicture> kept = List.of();
    private volatile @Nullable VcpuExit lastExit;

    /// @param symbols a file of symbols that the user has named; null for those of the kernel
    Observer(Machine machine, Mainboard board, BootDescription boot, @Nullable Path symbols) {
        this.machine = machine;
        this.board = board;
        this.boot = boot;
        this.symbols = symbols;
    }

    /// What was booted.
    BootDescription boot() {
        return boot;
    }

    private record Place(boolean memory, boolean write, long address) {}

    /// Looks at a guest, which goes on if it runs.
    Diagnosis look() throws IOException, InterruptedException {
        return diagnose(pictures(), lastExit);
    }

    /// Keeps what a guest is at that is about to be ended.
    void keep() {
        try {
            kept = pictures();
        } catch (IOException e) {
            LOG.log(Level.WARNING, "the guest cannot be looked at: {0}", e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// Of vCPUs that have stopped, what was kept.
    private List<VcpuPicture> pictures() throws IOException, InterruptedException {
        var pictures = new ArrayList<VcpuPicture>();
        for (Vcpu vcpu : machine.vcpus()) {
            try {
                pictures.add(picture(vcpu));
            } catch (IllegalStateException e) {
                if (vcpu.state() != Vcpu.State.STOPPED) {
                    throw e;
                }
                kept.stream()
                        .filter(picture -> picture.index() == vcpu.index())
                        .forEach(pictures::add);
            }
        }
        return pictures;
    }

    /// Looks at a vCPU that cannot go on, on its thread. The others run, and are left alone: they
    /// may be here, too, and wait for this one.
    Diagnosis look(Vcpu stopped, VcpuExit exit) throws IOException, InterruptedException {
        kept = List.of(picture(stopped));
        lastExit = exit;
        return diagnose(kept, exit);
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
