package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.kaval.testing.FileMaker;

/// Debian's cloud kernel as it is, and an initramfs that uses the disk `/dev/vda`: it tells what it
/// is and what is in its second mebibyte, fills the first with what it tells, and reads that again.
final class DiskGuests implements FileMaker {
    static final String FOLDER = "target/guests/disk";

    private static final CloudGuest GUEST = new CloudGuest(FOLDER);

    private static final String INIT =
            """
            for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] || sleep 1; done
            disk=/sys/block/vda
            echo "sectors: $(cat $disk/size)"
            echo "serial: $(cat $disk/serial)"
            echo "read-only: $(cat $disk/ro)"
            echo "queues: $(ls $disk/mq | wc -l)"
            echo "physical block: $(cat $disk/queue/physical_block_size)"
            echo "cache: $(cat $disk/cache_type)"
            echo "where: $(readlink -f $disk/device)"
            echo "found: $(dd if=/dev/vda bs=4k skip=256 count=256 2>/dev/null | sha256sum)"
            dd if=/dev/urandom of=/data bs=4k count=256 2>/dev/null
            echo "written: $(sha256sum </data)"
            dd if=/data of=/dev/vda bs=4k conv=fsync,notrunc 2>/dev/null || echo "complaint: dd"
            echo 3 >/proc/sys/vm/drop_caches
            echo "read: $(dd if=/dev/vda bs=4k count=256 2>/dev/null | sha256sum)"
            for i in 1 2 3 4 5 6 7 8; do
                dd if=/dev/vda of=/dev/null bs=64k skip=$i count=16 2>/dev/null &
            done
            wait
            grep virtio /proc/interrupts | sed 's/^ */interrupt: /'
            dmesg | grep -E 'ACPI (BIOS )?Error|ACPI Warning|BUG|Oops|I/O error|nobody cared' | sed 's/^/complaint: /'
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
        GUEST.make(module, Map.of(), INIT, "virtio_pci", "virtio_mmio", "virtio_blk");
    }
}
