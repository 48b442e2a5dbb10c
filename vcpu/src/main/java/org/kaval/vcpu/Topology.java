package org.kaval.vcpu;

/// How the vCPUs of a machine are arranged.
///
/// @param sockets packages, at least 1
/// @param cores per socket, at least 1
/// @param threads per core, at least 1
public record Topology(int sockets, int cores, int threads) {
    /// APIC ids have 8 bits without interrupt remapping, and 255 means all.
    public static final int MAX_VCPUS = 255;

    public Topology {
        if (sockets < 1
                || cores < 1
                || threads < 1
                || (long) sockets * cores > MAX_VCPUS
                || (long) sockets * cores * threads > MAX_VCPUS) {
            throw new IllegalArgumentException(
                    "%d sockets of %d cores of %d threads; 1 to %d vCPUs are possible"
                            .formatted(sockets, cores, threads, MAX_VCPUS));
        }
        if (apicId(sockets, cores, threads, sockets * cores * threads - 1) >= MAX_VCPUS) {
            throw new IllegalArgumentException(
                    "%d sockets of %d cores of %d threads need APIC ids beyond %d"
                            .formatted(sockets, cores, threads, MAX_VCPUS - 1));
        }
    }

    /// One socket with `vcpus` cores of one thread.
    public static Topology ofCores(int vcpus) {
        return new Topology(1, vcpus, 1);
    }

    public int vcpus() {
        return sockets * cores * threads;
    }

    /// The APIC id of vCPU `index`: socket, core and thread in bit fields of their own (Intel SDM
    /// vol. 3A, "Detecting Hardware Multi-Threading Support and Topology"), so that it has gaps
    /// where a count is no power of two.
    public int apicId(int index) {
        return apicId(sockets, cores, threads, index);
    }

    /// How many low bits of an APIC id tell threads of a core apart.
    public int threadBits() {
        return bits(threads);
    }

    /// How many low bits of an APIC id tell threads of a socket apart.
    public int socketShift() {
        return bits(threads) + bits(cores);
    }

    private static int apicId(int sockets, int cores, int threads, int index) {
        if (index < 0 || index >= sockets * cores * threads) {
            throw new IndexOutOfBoundsException(index);
        }
        int socket = index / (cores * threads);
        int core = index / threads % cores;
        int thread = index % threads;
        return (socket << (bits(cores) + bits(threads))) | (core << bits(threads)) | thread;
    }

    /// How many bits tell `count` things apart.
    private static int bits(int count) {
        return Integer.SIZE - Integer.numberOfLeadingZeros(count - 1);
    }
}
