package org.kaval.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.Capability;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVm;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.Fd;

/// What {@link DoctorChecks} asks of devices. Files it reads itself.
interface DoctorProbe {
    /// Opens KVM at `device` and tries it.
    KvmAnswers kvm(Path device) throws IOException;

    /// Opens `device` for reading and writing, and closes it.
    void open(Path device) throws IOException;

    /// What KVM said.
    ///
    /// @param capabilities what each is worth; 0 if it is not there
    /// @param vmRefusal why no machine with a vCPU could be made; null if one could
    record KvmAnswers(Map<Capability, Integer> capabilities, @Nullable ErrnoException vmRefusal) {
        public KvmAnswers {
            capabilities = Map.copyOf(capabilities);
        }
    }

    /// The devices that are there.
    final class Devices implements DoctorProbe {
        @Override
        public KvmAnswers kvm(Path device) throws IOException {
            try (Kvm kvm = Kvm.open(device)) {
                var capabilities = new EnumMap<Capability, Integer>(Capability.class);
                for (Capability capability : Capability.values()) {
                    capabilities.put(capability, kvm.check(capability));
                }
                return new KvmAnswers(capabilities, vmRefusal(kvm));
            }
        }

        @Override
        public void open(Path device) throws IOException {
            Fd.open(device, Fd.Access.READ_WRITE).close();
        }

        private static @Nullable ErrnoException vmRefusal(Kvm kvm) {
            try (KvmVm vm = kvm.createVm()) {
                vm.createVcpu(0);
                return null;
            } catch (ErrnoException e) {
                return e;
            }
        }
    }
}
