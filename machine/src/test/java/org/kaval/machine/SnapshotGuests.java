package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.kaval.guests.CloudGuest;
import org.kaval.testing.FileMaker;

/// Debian's cloud kernel as it is, and an initramfs that counts on the console with the time beside
/// the count, and writes to the disk `/dev/vda` and reads again what it has written; until it is
/// told to end by a line on the console.
final class SnapshotGuests implements FileMaker {
    static final String FOLDER = "target/guests/snapshot";

    private static final CloudGuest GUEST = new CloudGuest(FOLDER);

    private static final String INIT =
            """
            for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] || sleep 1; done
            count() {
                n=0
                while [ ! -e /end ]; do
                    n=$((n + 1))
                    echo "tick: $n $(date +%s)"
                    sleep 0.1
                done
            }
            use() {
                n=0
                while [ ! -e /end ]; do
                    n=$(((n + 1) % 32))
                    dd if=/dev/urandom of=/data bs=64k count=1 2>/dev/null
                    dd if=/data of=/dev/vda bs=64k seek=$n conv=fsync,notrunc 2>/dev/null || echo "complaint: write"
                    echo 1 >/proc/sys/vm/drop_caches
                    dd if=/dev/vda bs=64k skip=$n count=1 2>/dev/null | cmp - /data || echo "complaint: $n is another"
                done
            }
            stty -echo # it would be in the middle of the count
            count &
            use &
            read line
            echo "line: $line"
            touch /end
            wait
            echo "cpus: $(grep -c ^processor /proc/cpuinfo)"
            dmesg | grep -E 'BUG|Oops|I/O error|nobody cared|rcu.*stall|lockup' | sed 's/^/complaint: /'
            poweroff -f
            """;

    static Path kernel() {
        return GUEST.kernel();
    }

    static Path initrd() {
        return GUEST.initrd();
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        GUEST.make(module, Map.of(), INIT, "virtio_pci", "virtio_blk");
    }
}
