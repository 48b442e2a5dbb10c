package org.kaval.cli;

import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.kaval.cli.control.Controlled;
import org.kaval.cli.control.SnapshotWish;
import org.kaval.devices.net.NetTraffic;
import org.kaval.devices.virtio.VirtioBalloon;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.machine.snapshot.SnapshotException;

/// The machine of a session, as other processes get at it. Any thread.
///
/// @param grace how long a guest may take to shut down if nobody says otherwise
/// @param description how the machine was made
record ControlledSession(
        Session session,
        Duration grace,
        GuestDisks guestDisks,
        GuestNetworks guestNetworks,
        BalloonOption memoryBalloon,
        GuestSnapshots snapshots,
        Map<String, Object> description)
        implements Controlled {
    @Override
    public <T> T ask(Question<T> question)
            throws IOException, InterruptedException, ConflictException {
        return session.ask(question);
    }

    @Override
    public <T> T look(Question<T> question)
            throws IOException, InterruptedException, ConflictException {
        return session.look(question);
    }

    @Override
    public void shutDown(Duration limit) {
        session.shutDown(limit);
    }

    @Override
    public void kill() {
        session.kill();
    }

    @Override
    public Map<String, DiskStatistics> disks() {
        var all = new TreeMap<String, DiskStatistics>();
        guestDisks
                .devices()
                .forEach((name, disk) -> {
                    VirtioBlock.Statistics done = disk.statistics();
                    all.put(
                            name,
                            new DiskStatistics(
                                    disk.size(),
                                    done.reads(),
                                    done.readBytes(),
                                    done.writes(),
                                    done.writtenBytes()));
                });
        return all;
    }

    @Override
    public Map<String, NetTraffic> networks() {
        var all = new TreeMap<String, NetTraffic>();
        guestNetworks.devices().forEach((name, device) -> all.put(name, device.traffic()));
        return all;
    }

    @Override
    public void growDisk(String name, long bytes) throws IOException, ConflictException {
        VirtioBlock disk = guestDisks.devices().get(name);
        if (disk == null) {
            throw new ConflictException(
                    "there is no disk '%s', but: %s"
                            .formatted(name, String.join(", ", guestDisks.devices().keySet())));
        }
        try {
            disk.grow(bytes);
        } catch (IllegalArgumentException e) {
            throw new ConflictException(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public BalloonState balloon() throws ConflictException {
        VirtioBalloon device =
                memoryBalloon
                        .device()
                        .orElseThrow(
                                () -> new ConflictException("it was started without --balloon"));
        return new BalloonState(device.target(), device.size());
    }

    @Override
    public void setBalloon(long bytes) throws ConflictException {
        balloon();
        Optional<String> problem = memoryBalloon.problem(bytes);
        if (problem.isPresent()) {
            throw new ConflictException(problem.get());
        }
        memoryBalloon.setTarget(bytes);
    }

    @Override
    public Duration snapshot(SnapshotWish wish)
            throws IOException, InterruptedException, ConflictException {
        return session.ask(guest -> {
            if (guest.outcome().isPresent()) {
                throw new ConflictException("the guest has ended");
            }
            try {
                return snapshots.write(guest, wish);
            } catch (SnapshotException e) {
                throw new ConflictException(String.valueOf(e.getMessage()));
            }
        });
    }
}
