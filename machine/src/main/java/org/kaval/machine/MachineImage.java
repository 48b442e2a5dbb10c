package org.kaval.machine;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.Kvm;
import org.kaval.machine.boot.BootDescription;
import org.kaval.memory.GuestMemory;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.Topology;

/// A running machine at one moment, of which another is made. One thread.
final class MachineImage implements AutoCloseable {
    private final Topology topology;
    private final BootDescription boot;
    private Map<String, Object> state = Map.of();
    private @Nullable GuestMemory memory; // null before it is taken, and once somebody has it

    MachineImage(Topology topology, BootDescription boot) {
        this.topology = topology;
        this.boot = boot;
    }

    /// Takes it of a machine that is held.
    ///
    /// @throws IllegalStateException if a vCPU is stopped
    void take(Machine machine, Kvm kvm) throws IOException, InterruptedException {
        state = SavedMachine.save(machine, kvm);
        memory = machine.memory().copy();
    }

    Topology topology() {
        return topology;
    }

    BootDescription boot() {
        return boot;
    }

    /// Of {@link SavedMachine#save}.
    Map<String, Object> state() {
        return state;
    }

    List<GuestRange> ranges() {
        return present().ranges();
    }

    /// The memory, which is the caller's then.
    GuestMemory takeMemory() {
        GuestMemory taken = present();
        memory = null;
        return taken;
    }

    private GuestMemory present() {
        GuestMemory there = memory;
        if (there == null) {
            throw new IllegalStateException("there is no memory");
        }
        return there;
    }

    @Override
    public void close() {
        if (memory != null) {
            memory.close();
        }
    }
}
