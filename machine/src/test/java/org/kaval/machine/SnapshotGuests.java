package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.kaval.guests.CloudGuest;
import org.kaval.testing.FileMaker;

/// Debian's cloud kernel as it is, and an initramfs that counts on the console with the time beside
/// the count, writes to the disk `/dev/vda` and reads again what it has written, sends numbers over
/// its network and compares what comes back, and does what it is asked for by lines on the console:
/// {@link CountingGuest} has the other end of that. With the word `peer` on its command line it is
/// the one that sends back.
final class SnapshotGuests implements FileMaker {
    static final String FOLDER = "target/guests/snapshot";

    private static final CloudGuest GUEST = new CloudGuest(FOLDER);

    private static final String INIT =
            """
            ip link set eth0 up
            if grep -qw peer /proc/cmdline; then
                ip addr add 10.7.0.2/24 dev eth0
                nc -l -p 4000 -e cat &
                until netstat -ltn | grep -q :4000; do sleep 0.1; done
                echo "peer: listens"
                wait
                poweroff -f
            fi
            ip addr add 10.7.0.1/24 dev eth0
            for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] || sleep 1; done
            mkdir /written
            count() {
                n=0
                while [ ! -e /end ]; do
                    n=$((n + 1))
                    echo "tick: $n $EPOCHREALTIME"
                    sleep 0.1
                    [ ! -e /calm ] || sleep 5
                done
            }
            block() { # past the guest's cache
                dd if=/dev/vda iflag=direct bs=64k skip=$1 count=1 2>/dev/null
            }
            write() {
                dd of=/dev/vda bs=64k seek=$1 conv=sync,fsync,notrunc 2>/dev/null || echo "complaint: write"
            }
            compare() {
                block $1 | cmp - /written/$1 || echo "complaint: block $1 is another"
            }
            use() {
                n=0
                while [ ! -e /end ]; do
                    n=$(((n + 1) % 32))
                    dd if=/dev/urandom of=/written/$n bs=64k count=1 2>/dev/null
                    write $n </written/$n
                    compare $n
                    [ ! -e /calm ] || sleep 5
                done
            }
            carry() {
                n=0
                while [ ! -e /end ]; do
                    seq $((n + 1)) $((n + 1000))
                    n=$((n + 1000))
                    sleep 0.1
                done | nc 10.7.0.2 4000 | awk '
                    $1 != NR { print "complaint: " $1 " came back as " NR; exit }
                    NR % 1000 == 0 { print "carried: " NR; fflush() }'
            }
            stty -echo # it would be in the middle of the count
            count & jobs=$!
            use & jobs="$jobs $!"
            carry &
            while read number what argument; do
                case $what in
                time) answer=$EPOCHREALTIME ;;
                calm)
                    touch /calm
                    echo 60 >/proc/sys/kernel/watchdog_thresh
                    echo 300 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout
                    answer=calm
                    ;;
                generation) answer=$(dd if=/dev/mem bs=16 skip=$((0xff000 / 16)) count=1 2>/dev/null | od -An -v -tx1) ;;
                mark) echo "$argument" | write 40; answer=$(block 40 | head -n 1) ;;
                marked) answer=$(block 40 | head -n 1) ;;
                *) break ;;
                esac
                echo "answer $number: $answer"
                echo "answered: $number."
            done
            touch /end
            wait $jobs
            for n in $(ls /written); do compare $n; done
            echo "compared: $(ls /written | wc -l)"
            echo "cpus: $(grep -c ^processor /proc/cpuinfo)"
            dmesg | grep -A 9 -E 'BUG|Oops|I/O error|nobody cared|WATCHDOG|rcu.*stall|lockup' | sed 's/^/complaint: /'
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
        GUEST.make(module, Map.of(), INIT, "virtio_pci", "virtio_blk", "virtio_net");
    }
}
