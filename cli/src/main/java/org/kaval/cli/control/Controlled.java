package org.kaval.cli.control;

import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import org.kaval.devices.net.NetTraffic;
import org.kaval.machine.Vm;

/// A machine as other processes get at it. Any thread.
public interface Controlled {
    /// Asks the guest that runs now; it is not closed meanwhile. One question waits for the other.
    ///
    /// @throws ConflictException if there is none at this moment
    <T> T ask(Question<T> question) throws IOException, InterruptedException, ConflictException;

    /// As {@link #ask}, for what any thread can ask at any time: it waits for no question.
    <T> T look(Question<T> question) throws IOException, InterruptedException, ConflictException;

    /// Presses the power button, and stops the guest after `grace` if it has not shut down, or at
    /// once if it does not listen.
    void shutDown(Duration grace);

    /// Ends it as if its power were cut.
    void kill();

    /// How long a guest may take to shut down if nobody says otherwise.
    Duration grace();

    /// How it was made: numbers, texts, lists and maps of them.
    Map<String, Object> description();

    /// What its disks have done: by their names.
    Map<String, DiskStatistics> disks();

    /// What has passed its network devices since the guest began: by their names.
    Map<String, NetTraffic> networks();

    /// Makes a disk larger.
    ///
    /// @param bytes a multiple of 512
    /// @throws ConflictException if there is no such disk, or it cannot be done
    void growDisk(String disk, long bytes) throws IOException, ConflictException;

    /// Its memory balloon.
    ///
    /// @throws ConflictException if it has none
    BalloonState balloon() throws ConflictException;

    /// Asks the guest to give up so much memory, instead of what it was asked for before.
    ///
    /// @throws ConflictException if it cannot be asked for that
    void setBalloon(long bytes) throws ConflictException;

    /// Writes a snapshot, and lets the guest go on if it runs. What is asked meanwhile waits for
    /// it, looks do not.
    ///
    /// @return for how long the guest stood still
    /// @throws ConflictException if it cannot be done
    Duration snapshot(SnapshotWish wish)
            throws IOException, InterruptedException, ConflictException;

    /// What is done with a machine.
    @FunctionalInterface
    interface Question<T> {
        T ask(Vm vm) throws IOException, InterruptedException, ConflictException;
    }

    /// What a disk has done since the guest began.
    ///
    /// @param size in bytes
    record DiskStatistics(long size, long reads, long readBytes, long writes, long writtenBytes) {}

    /// A memory balloon.
    ///
    /// @param target how many bytes the guest was asked for
    /// @param size how many it has given up
    record BalloonState(long target, long size) {}

    /// It cannot be done with the machine as it is; one line says why.
    final class ConflictException extends Exception {
        private static final long serialVersionUID = 1;

        public ConflictException(String message) {
            super(message);
        }
    }
}
