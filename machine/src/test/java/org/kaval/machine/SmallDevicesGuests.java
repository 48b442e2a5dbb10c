package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.kaval.guests.CloudGuest;
import org.kaval.testing.FileMaker;

/// Debian's cloud kernel as it is, and an initramfs that uses random numbers, the virtio console,
/// the balloon and the machine's generation, and panics in the end.
final class SmallDevicesGuests implements FileMaker {
    static final String FOLDER = "target/guests/small-devices";

    private static final CloudGuest GUEST = new CloudGuest(FOLDER);

    private static final String INIT =
            """
            for i in 1 2 3 4 5 6 7 8 9 10; do [ -c /dev/hvc0 ] || sleep 1; done
            echo "hwrng: $(cat /sys/class/misc/hw_random/rng_current)"
            echo "random: $(head -c 4096 /dev/hwrng | wc -c) $(head -c 4096 /dev/hwrng | od -An -v -tx1 -w1 | sort -u | wc -l)"
            echo "generation at: $(cat /sys/bus/acpi/devices/KAVL0001:00/path) $(cat /sys/bus/acpi/devices/KAVL0001:00/modalias)"
            generation() {
                echo "generation: $(dd if=/dev/mem bs=16 skip=$((0xff000 / 16)) count=1 2>/dev/null | od -An -v -tx1)"
                echo "events: $(grep -i ACPI:Ged /proc/interrupts | sed 's/  */ /g')"
            }
            generation
            exec 3<>/dev/hvc0
            stty raw -echo <&3
            echo "paste now" >&3
            echo "pasted: $(head -c 1048576 <&3 | sha256sum)"
            size() {
                for i in $(seq 100); do
                    [ "$(stty size <&3)" = "$1" ] && break
                    sleep 0.1
                done
                echo "size: $(stty size <&3)"
            }
            size "43 132"
            echo "resize now"
            size "30 100"
            generation
            for i in $(seq 300); do
                port=$(grep -lx org.kaval.test /sys/class/virtio-ports/*/name | cut -d / -f 5)
                [ -n "$port" ] && break
                sleep 0.1
            done
            exec 4<>/dev/$port
            echo "ready" >&4 # waits until there is a client
            head -c 1048576 <&4 >/through-port
            cat /through-port >&4
            head -c 10000 /dev/hwrng >&4
            exec 4>&-
            rm /through-port
            mkdir /full
            mount -t tmpfs -o size=600m tmpfs /full
            dd if=/dev/zero of=/full/file bs=1M count=512 2>/dev/null
            echo "memory is full"
            head -c 2 <&3 >/dev/null
            rm /full/file
            echo "memory is free"
            head -c 2 <&3 >/dev/null
            dmesg | grep -E 'ACPI (BIOS )?Error|ACPI Warning|BUG|Oops|nobody cared' | sed 's/^/complaint: /'
            echo "panics now"
            echo c >/proc/sysrq-trigger
            """;

    static Path kernel() {
        return GUEST.kernel();
    }

    static Path initrd() {
        return GUEST.initrd();
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        GUEST.make(
                module,
                Map.of(),
                INIT,
                "virtio_pci",
                "virtio_rng",
                "virtio_console",
                "virtio_balloon",
                "pvpanic_mmio");
    }
}
