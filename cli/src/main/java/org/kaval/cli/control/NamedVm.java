package org.kaval.cli.control;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Fd;
import org.kaval.linux.FileLock;
import org.kaval.machine.ConfigException;

/// The named machine of this process: holds its folder's lock from beginning to end, and writes
/// down what becomes of it. One thread at a time (guarded by this).
public final class NamedVm implements AutoCloseable {
    private static final Logger LOG = System.getLogger(NamedVm.class.getName());

    private final VmFolder folder;
    private final Fd lock;
    private VmRecord record;
    private @Nullable ControlServer server;

    private NamedVm(VmFolder folder, Fd lock, VmRecord record) {
        this.folder = folder;
        this.lock = lock;
        this.record = record;
    }

    /// Takes the name. What an earlier machine of that name has left, which has ended or was
    /// killed, is removed.
    ///
    /// @param command what follows `kaval`
    /// @param background whether it has no terminal
    /// @throws ConfigException if a machine of that name lives
    public static NamedVm open(String name, List<String> command, boolean background)
            throws IOException {
        VmFolder folder = VmFolder.of(name);
        folder.make();
        Path path = folder.file("lock");
        Fd lock =
                Files.exists(path)
                        ? Fd.open(path, Fd.Access.READ_WRITE)
                        : Fd.open(path, Fd.Access.READ_WRITE, Fd.Option.CREATE_NEW);
        boolean opened = false;
        try {
            if (!FileLock.tryLock(lock, FileLock.Kind.EXCLUSIVE, 0, 1)) {
                throw new ConfigException(
                        "name", "a machine called '%s' is running".formatted(name));
            }
            for (Path old : List.of(folder.api(), folder.console(), folder.log())) {
                Files.deleteIfExists(old);
            }
            Files.deleteIfExists(folder.file("log.1"));
            var vm = new NamedVm(folder, lock, VmRecord.starting(command, background));
            vm.write();
            opened = true;
            return vm;
        } finally {
            if (!opened) {
                lock.close();
            }
        }
    }

    public VmFolder folder() {
        return folder;
    }

    /// Its guest runs: other processes may ask for it from now on. Only the first call counts.
    ///
    /// @param vm is what they get at
    public synchronized void running(Controlled vm) throws IOException {
        if (server == null) {
            // in the background: the library takes a moment, and the guest need not wait
            server = ControlServer.start(folder.api(), new ControlApi(vm));
            record = record.nowRunning();
            write();
        }
    }

    /// It has ended.
    ///
    /// @param status what the shell gets
    public synchronized void ended(String outcome, int status) throws IOException {
        record = record.nowEnded(outcome, status);
        write();
    }

    private void write() throws IOException {
        Path temporary = folder.file("vm.json.new");
        Files.write(temporary, record.toJson());
        Files.move(temporary, folder.file("vm.json"), StandardCopyOption.ATOMIC_MOVE);
    }

    /// Lets the name go. What is written down stays, if the guest has ever run.
    @Override
    public synchronized void close() {
        if (server != null) {
            server.close();
        }
        try {
            if (record.running()) {
                Files.deleteIfExists(folder.api());
            } else {
                folder.remove();
            }
        } catch (IOException e) {
            LOG.log(Level.WARNING, "{0}", e.getMessage());
        }
        lock.close();
    }
}
